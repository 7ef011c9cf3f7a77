// What training takes: the weights that move, the optimizer's memory of them, the gradients of one
// layer at a time, and what the way back needs of the way there. What moves is all of a model, or a
// low-rank adapter beside its weights, which then stay mapped in whatever format, or are streamed
// from the file where they do not fit (LoRA; QLoRA: Dettmers et al., 2023).
//
// All texts of a step go through a layer, pass by pass, before the next layer does. So only one
// layer's gradients are alive, and they are used up as soon as they are whole. Of the way there
// only the input of each layer is kept, in bf16; a layer is computed again on its way back, unless
// the request keeps all that it computed.
// Attention and the loss are computed in pieces: neither a matrix of attention nor a row of logits
// is ever whole.
#pragma once

#include "base/share.h"
#include "memory/memory_map.h"
#include "plan/gradient_layout.h"
#include "plan/plan.h"

namespace enxuto {

namespace owner {
inline constexpr const char* kParameters = "parameters";
inline constexpr const char* kGathered = "gathered parameters";
inline constexpr const char* kGradients = "gradients";
inline constexpr const char* kOptimizer = "optimizer";
inline constexpr const char* kAveraged = "averaged weights";
inline constexpr const char* kCheckpoints = "checkpoints";
inline constexpr const char* kKeptActivations = "kept activations";
inline constexpr const char* kHiddenStates = "hidden states";
inline constexpr const char* kData = "data";
inline constexpr const char* kTeacher = "the teacher's word";
inline constexpr const char* kPass = "a layer, there and back";
inline constexpr const char* kRanks = "OpenMPI";
}  // namespace owner

enum class Optimizer { kAdamW, kAdamW8bit, kSgd, kApollo };
const char* optimizer_name(Optimizer optimizer);  // as --optimizer says it

// Values of 8-bit moments that share a scale; a row's last block may be shorter.
inline constexpr uint32_t kMomentBlock = 256;
// Bytes that the optimizer remembers of a matrix, or of some rows of it (kApollo: of all of them).
OptionalSize optimizer_bytes(Optimizer optimizer, uint64_t rows, uint64_t columns);
// What moves a tensor: of kApollo's the vectors are AdamW's.
Optimizer optimizer_of(Optimizer optimizer, const Tensor& tensor);
// The rows of which this rank remembers something: its own; all of them where that is next to
// nothing.
Share remembered_rows(Optimizer optimizer, const Tensor& tensor, uint64_t rank, uint64_t ranks);

struct TrainingRequest {
  uint32_t context = 0;         // tokens of one sequence; 0: as InferenceRequest
  uint32_t sequences = 1;       // in one step, of all ranks
  uint32_t ranks = 1;           // processes that share out the sequences and the optimizer's memory
  uint32_t pass_sequences = 0;  // through a layer at once; 0: as many as make up kPassTokens
  Optimizer optimizer = Optimizer::kAdamW;
  Type weights = Type::F32;        // of matrices: F32 or BF16; an adapter's are F32
  uint32_t lora_rank = 0;          // of the adapter that learns; 0: all weights do
  bool averages = false;           // an average of the weights is kept, in f32
  bool rounds_products = false;    // products are of numbers in bf16, with sums in f32
  uint32_t teacher_top = 0;        // tokens that a teacher names as the next of each; 0: no teacher
  bool keeps_activations = false;  // of all layers, which are then not computed again
  // fit_training chooses these where nothing else fits. Each rank keeps its rows of the matrices,
  // and gathers those at hand (ZeRO's third stage: Rajbhandari et al., 2020); an adapter's model is
  // streamed, within so many bytes of everything; 0: it is mapped.
  bool shares_parameters = false;
  uint64_t streaming_bytes = 0;
  int n_threads = 1;
  uint64_t tokenizer_bytes = 0;
};
// Of each token a teacher names so many next ones, unless the vocabulary has fewer; and what the
// loss against it counts, beside cross entropy's.
inline constexpr uint32_t kTeacherTop = 64;
inline constexpr float kTeacherWeight = 0.9f;
// More tokens at once make products no faster.
inline constexpr uint32_t kPassTokens = 1024;

// Whether a tensor is learned: all but tables of angles.
bool learns(const Model& model, const Tensor& tensor);
// The tensors of a layer that learn together: its own, or those of its adapter.
std::vector<const Tensor*> learned_of(const LayerWeights& layer, const Adapter* adapter);
// Whether ranks that share parameters have its rows each of their own: matrices of layers and of
// the vocabulary.
bool is_shared_out(const Model& model, const Tensor& tensor);
std::vector<const Tensor*> shared_out_of(const Model& model, const LayerWeights& layer);
// In memory while it learns.
Type trained_type(const Tensor& tensor, Type matrices);

struct TrainingLayout {  // of each rank, in bytes, where not said otherwise
  uint32_t context, sequences, pass_sequences;
  uint64_t n_tokens;      // of a step, of this rank at most
  uint64_t n_parameters;  // numbers
  uint64_t parameters;    // where ranks share them: of the largest share
  uint64_t gathered;      // where they do, matrices of a layer or of a block of tokens; else 0
  uint64_t optimizer;     // of the largest share of each tensor's rows
  uint64_t averaged;      // of as many rows as the optimizer, in f32; 0: none is kept
  uint64_t gradients;     // of the largest layer, or of a block of the head where that learns
  uint64_t embedded;      // gradients of the rows that a step looks up, likewise
  uint64_t checkpoints;   // of all layers
  uint64_t activations;   // of all layers and passes, where they are kept
  uint64_t states;        // of one step's tokens: the states, and their gradients
  uint64_t losses;        // sums of each token
  uint64_t taught;        // what a teacher says of each token, and sums against it
  GradientLayout pass;
  InferenceRequest inference;  // of the session that looks rows up and writes samples. Its adapter
                               // is the one that learns, without data; null: all weights do
};
// kDoesNotFit where a size is beyond reason.
Result<TrainingLayout> lay_out_training(const Model& model, const TrainingRequest& request);
Result<MemoryMap> plan_training(const Model& model, const TrainingRequest& request);

// The request with the largest pass that fits; where none does, of ranks that share parameters out,
// or of an adapter whose model is streamed; kDoesNotFit with what would fit where that does not.
Result<TrainingRequest> fit_training(const Model& model, TrainingRequest request,
                                     uint64_t budget_bytes);

// Values that a layer computes of one token, and would have to keep if it were not computed again.
uint64_t kept_values_per_token(const HyperParameters& hyper, uint32_t layer);

}  // namespace enxuto
