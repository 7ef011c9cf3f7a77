// What the other commands ask of a session: requests that they themselves use, and the plan of
// eval.
#pragma once

#include "memory/memory_map.h"
#include "plan/session_layout.h"

namespace enxuto {

inline constexpr uint32_t kEvaluationTokens = 512;  // of one chunk

// eval: a chunk at a time, several rows of logits at once.
InferenceRequest evaluation_request(uint32_t chunk_tokens, int n_threads);

// eval of a model, alone or beside a reference: both within `memory_bytes` (0: no limit), half
// each. `kv`: of the model's cache; the reference keeps f16.
Result<MemoryMap> plan_evaluation(const Model& model, const Model* reference, int n_threads,
                                  std::vector<KvFormat> kv, uint64_t memory_bytes);

}  // namespace enxuto
