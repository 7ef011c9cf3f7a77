// The heart: (model, machine, budget, goal) -> Plan. Pure: no I/O, no clock. Every size comes from
// session_layout.h, by which infer/ opens its arena.
#pragma once

#include "memory/memory_map.h"
#include "plan/session_layout.h"
#include "plan/weight_plan.h"

namespace enxuto {

// Owner names of the parts, shared by plan, arena and report.
namespace owner {
inline constexpr const char* kWeights = "weights";  // mapped; where they do not fit, the next two
inline constexpr const char* kEmbeddingRow = "token embedding";
inline constexpr const char* kPinnedWeights = "weights, pinned";
inline constexpr const char* kWeightRing = "weights, streamed";
inline constexpr const char* kAdapter = "adapter";
inline constexpr const char* kVocabulary = "vocabulary";
inline constexpr const char* kKvCache = "KV cache";
inline constexpr const char* kScratch = "activations";
inline constexpr const char* kLogits = "logits";
inline constexpr const char* kDrafting = "drafting";
inline constexpr const char* kProcess = "process";
}  // namespace owner

// The shortest pass worth proposing: below it, a prompt reads the weights too often.
inline constexpr uint32_t kShortPass = 16;
// A context below is worth nothing to anybody.
inline constexpr uint32_t kUsefulContext = 256;

Result<MemoryMap> plan_inference(const Model& model, const InferenceRequest& request);

// The model's file, header and weights; and what plan_inference counts of it where nothing streams:
// less the embedding where its rows are read as they are needed.
Result<uint64_t> whole_file_bytes(const Model& model);
Result<uint64_t> mapped_file_bytes(const Model& model);

// Where plan_inference puts the weights.
Result<WeightPlan> plan_weights(const Model& model, const InferenceRequest& request);

// The request with the longest draft that pays where weights are streamed: another token of a pass
// costs little beside reading them. Unchanged where they are not, or where no draft fits.
InferenceRequest with_drafting(const Model& model, InferenceRequest request);

// Whether the plan stays within `budget_bytes`.
bool fits(const Model& model, const InferenceRequest& request, uint64_t budget_bytes);

// OK, or kDoesNotFit with the shortest list of changes that would fit into `budget_bytes`: what
// costs speed only before what costs a little precision, and that before a short context.
Status check_fits(const Model& model, const InferenceRequest& request, uint64_t budget_bytes);

// The longest context that fits, at most the requested one; 0 where none does.
uint32_t largest_context(const Model& model, InferenceRequest request, uint64_t budget_bytes);

}  // namespace enxuto
