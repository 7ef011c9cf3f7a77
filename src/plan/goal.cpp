#include "plan/goal.h"

#include <algorithm>

#include "plan/plan.h"

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

Result<MemoryMap> plan_evaluation(const Model& model, const Model* reference, int n_threads,
                                  std::vector<KvFormat> kv, uint64_t memory_bytes) {
  InferenceRequest request = evaluation_request(kEvaluationTokens, n_threads);
  request.memory_bytes = memory_bytes / (reference ? 2 : 1);
  request.kv = std::move(kv);
  ASSIGN_OR_RETURN(MemoryMap map, plan_inference(model, request));
  if (!reference) return map;
  request.kv.clear();
  ASSIGN_OR_RETURN(const MemoryMap other, plan_inference(*reference, request));
  for (const MemoryPart& part : other.parts) {
    if (part.owner == owner::kProcess) continue;  // one process
    const auto same = std::ranges::find(map.parts, part.owner, &MemoryPart::owner);
    if (same == map.parts.end()) {
      map.parts.push_back(part);
      continue;
    }
    same->bytes += part.bytes;
    same->why += "; the reference: " + part.why;
  }
  return map;
}

}  // namespace enxuto
