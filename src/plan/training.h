// What training would take: the weights as numbers that can move, their gradients, the optimizer's
// memory of them, and what the way back needs of the way there. Attention and the loss are computed
// in pieces, so neither a matrix of attention nor the logits of all tokens are ever held.
#pragma once

#include "memory/memory_map.h"
#include "plan/session_layout.h"

namespace enxuto {

namespace owner {
inline constexpr const char* kParameters = "parameters";
inline constexpr const char* kGradients = "gradients";
inline constexpr const char* kOptimizer = "optimizer";
inline constexpr const char* kCheckpoints = "checkpoints";
}  // namespace owner

enum class Optimizer { kAdamW, kAdamW8bit };

struct TrainingRequest {
  uint32_t context = 0;    // tokens of one sequence; 0: as InferenceRequest
  uint32_t sequences = 1;  // in one step
  Optimizer optimizer = Optimizer::kAdamW;
  // Only the input of every n-th block is kept (bf16); the blocks between are computed again on the
  // way back. 0: everything is kept.
  uint32_t checkpoint_every = 1;
  int n_threads = 1;
  uint64_t tokenizer_bytes = 0;
};

struct TrainingSizes {
  uint64_t n_parameters, n_tokens;  // of the model; of a step
  uint64_t parameters, gradients, optimizer;
  uint64_t checkpoints;  // kept inputs of blocks
  uint64_t activations;  // of the blocks alive at once, and the gradients of one
  uint64_t logits;       // of the tokens whose loss is computed at once, with their gradients
};
// kDoesNotFit where a size is beyond reason.
Result<TrainingSizes> size_training(const Model& model, const TrainingRequest& request);

Result<MemoryMap> plan_training(const Model& model, const TrainingRequest& request);

// Values that one block keeps of one token for the way back.
uint64_t kept_values_per_token(const HyperParameters& hyper, uint32_t layer);

}  // namespace enxuto
