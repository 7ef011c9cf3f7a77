// What a choice is expected to be like, before anything is measured: rules of thumb, to compare
// choices by. `enxuto eval` and `enxuto bench` measure.
#pragma once

#include <cstdint>

namespace enxuto {

// Mean KL divergence from the unrounded model, in nats per token:
//   ln KLD = 3.20 - 1.22 * bits per weight - 0.80 * ln(parameters / 1e9)
// The least-squares fit to 16 files that stock llama.cpp made of SmolLM2-135M (5.1 to 8.6 bits) and
// Qwen2.5-Coder-1.5B (3.2 to 5.0 bits); each of them lies within a factor of 1.7. Beyond the
// smaller and the larger of the two models, theirs is the parameter count: no credit is given for
// what was not measured.
double expected_kld(double bits_per_weight, uint64_t parameters);

// Bytes that one step of decoding reads: the weights once for all sequences, and each sequence's
// cache, which holds `context` tokens in the worst case.
uint64_t bytes_per_step(uint64_t weights_read, uint64_t kv_bytes);

// Steps per second at `bandwidth` bytes per second: an upper bound. 0 where no bandwidth is known.
double expected_steps_per_second(uint64_t bytes_per_step, double bandwidth);

}  // namespace enxuto
