// Learns: a batch of texts there and back through a model, and a step of its weights.
//
// All texts go through a layer, pass by pass, before the next layer does. A layer's weights move as
// soon as its gradients are whole, while the layers before it still wait for theirs; the gradients'
// memory is then the next layer's. So the gradient is clipped group by group (a layer, a block of
// the head, the final norm, the embedding): none may be longer than its share of the limit, that is
// the limit times the root of its share of the weights, and the whole is never longer than the
// limit.
//
// With request.lora_rank an adapter of all matrices of the layers learns instead: the weights stay
// as they lie in the source, and have no gradients.
//
// Several ranks share the texts of a step out, and the rows of each tensor: gradients are summed
// over all ranks as soon as they are whole, each rank moves its own rows, whose moments no other
// has, and tells them to the others (as ZeRO's second stage: Rajbhandari et al., 2020). Where the
// request has them share parameters out, it keeps them to itself, and what a layer or a block of
// the vocabulary takes is gathered there and back (the third stage).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/teacher_file.h"
#include "memory/arena.h"
#include "platform/ranks.h"
#include "train/averaged_weights.h"
#include "train/head_loss.h"
#include "train/learned_adapter.h"
#include "train/optimizer_state.h"
#include "train/parameters.h"

namespace enxuto {

struct TrainerSettings {
  TrainingRequest request;
  float beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f;  // sgd: beta1 is its momentum
  float weight_decay = 0.1f;
  float clip = 1.0f;         // 0: gradients are as long as they are
  float ema = 0;             // of the average, where request.averages
  float expert_balance = 0;  // of a mixture: how much its texts are told to spread over experts
  float teacher_weight = kTeacherWeight;  // of the loss against a teacher, where there is one
  uint64_t seed = 1;
  const Ranks* ranks = &Ranks::alone();  // as many as the request says
};

// Texts of context + 1 tokens, one after the other, at most this rank's share of request.sequences;
// for each but a text's last token, whether what comes next counts. Of a trainer with a teacher,
// what that says of them lies in taught() already.
struct Batch {
  std::span<const Token> tokens;
  std::span<const uint8_t> counts;
};

struct StepResult {           // of all ranks
  double loss = 0;            // cross entropy in nats, the mean over the tokens that count
  std::optional<double> kld;  // the same of the divergence from the teacher, where there is one
  uint64_t tokens = 0;
  double gradient_norm = 0;  // before it was clipped
};

class Trainer {
 public:
  // The source's weights are copied, and it is not needed afterwards; with an adapter they are used
  // where they lie.
  static Result<std::unique_ptr<Trainer>> open(std::shared_ptr<const Model> source,
                                               const TrainerSettings& settings);

  // rate: the learning rate. kFailed where the loss or a gradient is no number: of the loss before
  // any weight has moved.
  Result<StepResult> step(const Batch& batch, float rate);
  // The loss alone. tokens 0 where none counts.
  Result<StepResult> loss(const Batch& batch);

  // Where the caller puts what a teacher says of the tokens of one of the batch's texts.
  TaughtRows taught(size_t text) const;

  // Without an adapter; valid as long as the trainer. Its weights are as they are, but for those
  // that ranks share out; not while step() runs.
  const std::shared_ptr<const Model>& model() const { return model_; }
  bool shares_parameters() const { return layout_.gathered > 0; }
  const std::shared_ptr<const Adapter>& adapter() const { return learned_adapter_.adapter(); }
  Session& session() { return *session_; }
  const MemoryMap& memory_map() const { return map_; }
  const TrainingLayout& layout() const { return layout_; }
  const Ranks& ranks() const { return *settings_.ranks; }
  uint64_t steps() const { return steps_; }

  // What is kept to go on later: each tensor's numbers and what the optimizer remembers of it.
  struct Slot {
    const Tensor* tensor;
    Share rows;  // that this rank has: all of them, where they are not shared out
    std::span<uint8_t> weights;
    const OptimizerState* moments;  // of this rank's rows; null: it does not learn
  };
  std::vector<Slot> slots();
  // All of a slot's rows, some whole ones at a time, to the first rank's `take`. All ranks have to
  // call it, as the next.
  Status gather_weights(const Slot& slot, const std::function<Status(ByteView)>& take) const;
  // All that is remembered of a slot, of all rows, likewise.
  Status gather_moments(const Slot& slot, const std::function<Status(ByteView)>& take) const;
  void set_steps(uint64_t steps) { steps_ = steps; }  // done before

  // Of what is averaged, this rank's rows; none where nothing is.
  std::span<const AveragedWeights::Rows> averaged() const { return average_.all(); }
  Status gather_average(const AveragedWeights::Rows& rows,
                        const std::function<Status(ByteView)>& take) const;
  // The average becomes the weights, and the next time the weights come back. All ranks have to
  // call it. No step and no checkpoint between the two; nothing where nothing is averaged.
  Status exchange_average();

 private:
  struct Pass;
  Trainer(const TrainerSettings& settings, TrainingLayout layout)
      : settings_(settings), layout_(std::move(layout)) {}
  Status allocate(std::shared_ptr<const Model> source);
  Status allocate_learned(std::shared_ptr<const Model> source);
  Status allocate_taught();
  Status allocate_moments();
  Status allocate_average();
  Status gather_rows(const Tensor& tensor, const OptimizerState::Part& own,
                     const std::function<Status(ByteView)>& take) const;
  Status begin(const Batch& batch);
  Status look_up_shared_rows();
  Status hold_layer(uint32_t layer);
  Status there(bool keeps_inputs);
  Status measure();
  Result<StepResult> result();
  std::span<TokenLoss> losses_of(const Pass& pass);
  TaughtTokens taught_of(const Pass& pass);
  Status head_back(float scale);
  Status sum_head_block(const HeadBlock& block, float scale);
  Status layers_back();
  Status embedding_back();
  Status positions_back(const Tensor& positions);

  template <class Body>
  Status for_passes(const Body& body);  // body(pass)
  template <class Body>
  Status for_tensors(std::span<const MovingRows> group, const Body& body);  // body(rows)
  template <class Body>
  Status for_head_blocks(const Body& body);  // body(block)
  Status note_embedded_rows();
  void keep_input(uint32_t layer, const Pass& pass, const float* x);
  const float* input_of(uint32_t layer, const Pass& pass);
  uint8_t* kept_input(uint32_t layer, const Pass& pass) const;
  uint8_t* kept_activations(uint32_t layer, const Pass& pass) const;
  std::span<float> lay_out_layer_gradients(uint32_t layer);
  float* gradient_of(const Tensor& tensor);
  SeeGradient collect();
  SeeGradient collect_adapter();
  using Piece = MovingRows;
  // Those of a group move together; part: of the vocabulary's matrices, which move in several.
  Status move(std::span<const Piece> group, uint64_t part = 0);
  void move_rows(const Gathered& rows, float scale);
  bool moves_in_parts(const Tensor& tensor) const;
  void move_own_rows(const Piece& piece, float scale);
  Status tell_rows(std::span<const Piece> group);
  Status tell_rows(const Tensor& tensor, const Share& rows);
  bool is_shared(const Tensor& tensor) const {
    return shares_parameters() && parameters_.shared_out(tensor);
  }
  Parameters::Rows rows_of(const Tensor& tensor) const;
  uint8_t* own_row(const Tensor& tensor, uint64_t row) const;
  Status move_head_block(const HeadBlock& block);
  Status move_untouched_rows();

  TrainerSettings settings_;
  TrainingLayout layout_;
  MemoryMap map_;
  std::unique_ptr<Arena> arena_;
  Dense dense_;
  Parameters parameters_;           // of all weights; or
  LearnedAdapter learned_adapter_;  // null in it: all weights learn
  std::shared_ptr<const Model> model_;
  std::span<const Tensor> learned_;  // tensors of the one or the other
  std::unique_ptr<Session> session_;
  std::optional<WeightProducts> products_;
  std::unique_ptr<LayerGradient> layers_;
  std::unique_ptr<HeadLoss> head_;
  AveragedWeights average_;
  std::vector<OptimizerState> moments_;  // by the place of a tensor among learned_
  std::span<float> gradients_, embedded_, states_, state_gradients_;
  std::span<uint8_t> checkpoints_, activations_;
  std::span<TokenLoss> losses_;
  TaughtRows taught_;
  std::span<TaughtLoss> taught_losses_;
  std::span<uint8_t> pass_memory_;
  std::vector<Token> inputs_;         // of the batch
  std::vector<Token> embedded_rows_;  // different ones among all ranks' inputs, ascending
  std::vector<Piece> layer_pieces_;
  uint64_t steps_ = 0;
  double squares_ = 0;  // of the gradient so far
  StepRates rates_;
};

}  // namespace enxuto
