// What prune takes, part by part: a session that runs text, and working memory as large as the
// stage that needs most. The plan is compress's (compression_plan.h), whose engine prune works
// with: weights that are too many are streamed, hidden states that are too many wait in a file.
#pragma once

#include "plan/compression_plan.h"

namespace enxuto {

struct PruningRequest {
  int n_threads = 1;
  Effort effort = Effort::kNormal;
  uint64_t memory_bytes = 0;     // the budget; 0: none
  uint64_t tokenizer_bytes = 0;  // as Tokenizer::table_bytes says; 0: estimated
  bool fits_columns = false;     // heads or channels go, and the others make up for them
  bool probes_parts = false;     // it measures what each layer's heads and channels are worth
  bool probes_blocks = false;    // or whole blocks
  bool masks_weights = false;    // single weights go
  bool chooses_experts = false;  // or a mixture's experts
  uint64_t text_bytes = 0;       // that tokens are counted in; 0: no token goes
};

namespace owner {
inline constexpr const char* kTokenCounts = "token counts";
inline constexpr const char* kOutput = "output";
}  // namespace owner

Result<CompressionPlan> plan_pruning(const Model& model, const PruningRequest& request);

// What masking single weights of a layer takes (prune/layer_masking.h): second moments of its
// inputs with the values of its matrices, and scratch.
struct MaskingFloats {
  uint64_t layer = 0, scratch = 0;
};
std::optional<MaskingFloats> masking_floats(const LayerWeights& layer);

// States of pruning that one layer's parts are probed in: attention and FFN in two each.
inline constexpr uint64_t kProbesOfLayer = 4;
// Columns of attn_output that stay or go together, in one layer.
uint64_t head_group(const Model& model, uint32_t layer);
// Of the input of a matrix whose columns go in such units, the most in a diagonal block: a unit
// lies in one of them.
uint64_t removal_block(uint64_t columns, uint64_t unit);
// Single columns that go at the same time.
uint64_t columns_at_once(uint64_t columns);
// Floats of scratch that removing columns takes (prune/column_removal.h).
OptionalSize removal_scratch(uint64_t rows, uint64_t columns, uint64_t unit);

}  // namespace enxuto
