// What the other commands ask of a session: requests that the commands themselves use.
#pragma once

#include "plan/session_layout.h"

namespace enxuto {

inline constexpr uint32_t kEvaluationTokens = 512;  // of one chunk

// eval: a chunk at a time, several rows of logits at once.
InferenceRequest evaluation_request(uint32_t chunk_tokens, int n_threads);

}  // namespace enxuto
