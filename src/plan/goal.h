// What the other commands take: requests that the commands themselves use, and their memory maps.
#pragma once

#include "memory/memory_map.h"
#include "plan/session_layout.h"

namespace enxuto {

inline constexpr uint32_t kEvaluationTokens = 512;  // of one chunk

// eval: a chunk at a time, several rows of logits at once.
InferenceRequest evaluation_request(uint32_t chunk_tokens, int n_threads);

// compress: tokens of text that it calibrates on and probes with, fewer for a large model, whose
// probes cost layers^2.
struct CalibrationShape {
  uint32_t fit_tokens, fit_chunks;
  uint32_t probe_tokens, probe_chunks;
};
CalibrationShape calibration_shape(const Model& model);
InferenceRequest calibration_request(int n_threads);

// The format of the coarse copy by which compress probes a tensor; nothing where none divides it.
const Codec* probe_codec(const Tensor& tensor);

Result<MemoryMap> plan_compression(const Model& model, int n_threads, uint64_t tokenizer_bytes);

}  // namespace enxuto
