// Which experts of a mixture a token meets, and by how much: those of the largest probabilities.
#pragma once

#include <cstdint>

#include "models/model.h"

namespace enxuto {

// A token's probabilities of each of hyper.n_experts become its shares of them, 0 of those that it
// does not meet. What is no number stays none.
void choose_experts(const HyperParameters& hyper, float* probabilities);

// The gradient by the logits behind those probabilities, in the place of that by the shares of the
// experts that a token meets.
void choose_experts_gradient(const HyperParameters& hyper, const float* probabilities,
                             const float* shares, float* gradient);

// What tells n tokens of a text to spread over the experts (Fedus et al., 2022, over the choices of
// one text): n_experts times the sum, over the experts, of the part of the text's choices that
// fell on it and its mean probability. 1 where all are alike, up to n_experts where few do all.
// probabilities, shares: (n, n_experts). Adds `scale` times its gradient by the logits, choices
// taken as they are, to `gradient`, likewise.
void add_balance_gradient(const HyperParameters& hyper, const float* probabilities,
                          const float* shares, int64_t n, float scale, float* gradient);

}  // namespace enxuto
