// What the other commands ask of a session: requests that they themselves use, and the plan of
// eval.
#pragma once

#include "memory/memory_map.h"
#include "plan/session_layout.h"

namespace enxuto {

// eval: a chunk at a time, several rows of logits at once.
InferenceRequest evaluation_request(uint32_t chunk_tokens, int n_threads);

// What the model and its reference ask for, of what eval was asked: where there is a reference,
// half of request.memory_bytes each (0: no limit). request.kv: of the model's cache; the reference
// keeps f16. request.adapter is the model's alone.
struct EvaluationRequests {
  InferenceRequest model, reference;
};
EvaluationRequests share_evaluation(InferenceRequest request, bool has_reference);

// eval of a model, alone or beside a reference.
Result<MemoryMap> plan_evaluation(const Model& model, const Model* reference,
                                  const InferenceRequest& request);

namespace owner {
inline constexpr const char* kMeasuring = "measuring";
}  // namespace owner

// Measuring what formats of the KV cache cost (infer/cache_meter.h): tokens of a chunk, and of the
// one on which layers are weighed.
inline constexpr uint32_t kCacheChunkTokens = 512, kLayerTokens = 256;

struct CacheMeasurement {
  InferenceRequest inference;  // of the session; its memory_bytes are what the rest leaves
  MemoryPart measuring;
};
// Within `memory_bytes` (0: no limit), in shorter passes where that helps.
Result<CacheMeasurement> plan_cache_measurement(const Model& model, int n_threads,
                                                uint64_t memory_bytes);

}  // namespace enxuto
