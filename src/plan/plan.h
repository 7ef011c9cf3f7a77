// The heart: (model, machine, budget, goal) -> Plan. Pure: no I/O, no clock. A part's size is
// computed here and nowhere else; infer/ opens its arena from the same functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "memory/memory_map.h"
#include "models/model.h"

namespace enxuto {

struct InferenceRequest {
  uint32_t context = 0;     // tokens; 0: min(trained context, 4096)
  uint32_t batch = 512;     // most tokens of one pass
  uint32_t logit_rows = 1;  // rows of logits wanted from one pass
  int n_threads = 1;
  uint64_t tokenizer_bytes = 0;  // as Tokenizer::table_bytes says; 0: estimated from the vocabulary
};

// Floats and bytes of the pass's working memory; all sizes of infer/ come from here.
struct InferenceSizes {
  uint64_t weights_bytes;  // mapped
  uint64_t kv_cache_bytes;
  uint64_t scratch_bytes;
  uint64_t logits_bytes;
  uint64_t process_bytes;
};

// Owner names of the parts, shared by plan, arena and report.
namespace owner {
inline constexpr const char* kWeights = "weights";
inline constexpr const char* kVocabulary = "vocabulary";
inline constexpr const char* kKvCache = "KV cache";
inline constexpr const char* kScratch = "activations";
inline constexpr const char* kLogits = "logits";
inline constexpr const char* kProcess = "process";
}  // namespace owner

Result<MemoryMap> plan_inference(const Model& model, const InferenceRequest& request);

}  // namespace enxuto
