#include "plan/goal.h"

namespace enxuto {

// Rows of logits alive at once: enough to unpack a row of the head for several tokens.
static constexpr uint32_t kLogitRows = 16;

InferenceRequest evaluation_request(uint32_t chunk_tokens, int n_threads) {
  InferenceRequest request;
  request.context = chunk_tokens;
  request.logit_rows = kLogitRows;
  request.n_threads = n_threads;
  return request;
}

}  // namespace enxuto
