#include "plan/goal.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan/cache_formats.h"
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

EvaluationRequests share_evaluation(InferenceRequest request, bool has_reference) {
  request.memory_bytes /= has_reference ? 2 : 1;
  EvaluationRequests requests{request, request};
  requests.reference.kv.clear();
  requests.reference.adapter.reset();
  return requests;
}

Result<MemoryMap> plan_evaluation(const Model& model, const Model* reference,
                                  const InferenceRequest& request) {
  const EvaluationRequests requests = share_evaluation(request, reference != nullptr);
  ASSIGN_OR_RETURN(MemoryMap map, plan_inference(model, requests.model));
  if (!reference) return map;
  ASSIGN_OR_RETURN(const MemoryMap other, plan_inference(*reference, requests.reference));
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

Result<CacheMeasurement> plan_cache_measurement(const Model& model, int n_threads,
                                                uint64_t memory_bytes) {
  const uint32_t rows = kCacheChunkTokens / 2 + 3 * kLayerTokens;
  const uint64_t bytes = uint64_t{rows} * model.hyper.width * sizeof(float);
  CacheMeasurement plan{
      evaluation_request(kCacheChunkTokens, n_threads),
      {owner::kMeasuring, bytes, fmt::format("states of {} tokens, before and after a layer", rows),
       "while the KV cache is measured", PartKind::kArena}};
  if (memory_bytes) {
    const uint64_t rest = memory_bytes > bytes ? memory_bytes - bytes : 1;
    plan.inference.memory_bytes = rest;
    if (!fits(model, plan.inference, rest)) plan.inference.batch = kShortPass;
  }
  for (const Type type : kCacheTypes)
    if (!kv_row_bytes(type, model.hyper.key_dim) || !kv_row_bytes(type, model.hyper.value_dim))
      return Status::usage(
          fmt::format("heads of {} numbers fit no smaller KV cache than f16", model.hyper.key_dim),
          "leave out what measures or chooses its format");
  return plan;
}

}  // namespace enxuto
