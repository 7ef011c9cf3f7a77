// What a trainer has in memory: how it is laid out, and what of it is kept to go on later.
#include <algorithm>

#include "base/checked.h"
#include "plan/pieces.h"
#include "train/trainer.h"

namespace enxuto {

Result<std::unique_ptr<Trainer>> Trainer::open(std::shared_ptr<const Model> source,
                                               const TrainerSettings& settings) {
  if (settings.request.ranks != settings.ranks->size())
    return Status::usage("the plan is for another number of ranks");
  ASSIGN_OR_RETURN(TrainingLayout layout, lay_out_training(*source, settings.request));
  std::unique_ptr<Trainer> trainer(new Trainer(settings, std::move(layout)));
  ASSIGN_OR_RETURN(trainer->map_, plan_training(*source, settings.request));
  TRY(trainer->allocate(std::move(source)));
  return trainer;
}

Status Trainer::allocate(std::shared_ptr<const Model> source) {
  MemoryMap own;  // the session opens its own parts
  for (const char* owner :
       {settings_.request.lora_rank ? owner::kAdapter : owner::kParameters, owner::kOptimizer,
        owner::kGradients, owner::kCheckpoints, owner::kHiddenStates, owner::kPass})
    own.parts.push_back(*map_.find(owner));
  if (settings_.request.averages) own.parts.push_back(*map_.find(owner::kAveraged));
  if (settings_.request.teacher_top) own.parts.push_back(*map_.find(owner::kTeacher));
  for (const char* owner : {owner::kKeptActivations, owner::kGathered})
    if (const MemoryPart* part = map_.find(owner)) own.parts.push_back(*part);
  ASSIGN_OR_RETURN(arena_, Arena::open(own));
  ASSIGN_OR_RETURN(dense_, Dense::load());
  if (settings_.request.rounds_products && !dense_.multiplies_bf16())
    return Status::usage("this processor has no instructions for bf16", "leave out --compute bf16");
  const TrainingLayout& l = layout_;
  const uint64_t values = l.n_tokens * source->hyper.width;
  TRY(allocate_learned(std::move(source)));
  ASSIGN_OR_RETURN(gradients_, arena_->take<float>(owner::kGradients, l.gradients / sizeof(float)));
  ASSIGN_OR_RETURN(embedded_, arena_->take<float>(owner::kGradients, l.embedded / sizeof(float)));
  ASSIGN_OR_RETURN(states_, arena_->take<float>(owner::kHiddenStates, values));
  ASSIGN_OR_RETURN(state_gradients_, arena_->take<float>(owner::kHiddenStates, values));
  ASSIGN_OR_RETURN(losses_, arena_->take<TokenLoss>(owner::kHiddenStates, l.n_tokens));
  ASSIGN_OR_RETURN(checkpoints_, arena_->take<uint8_t>(owner::kCheckpoints, l.checkpoints));
  if (l.activations) {
    ASSIGN_OR_RETURN(activations_, arena_->take<uint8_t>(owner::kKeptActivations, l.activations));
  }
  ASSIGN_OR_RETURN(pass_memory_, arena_->take<uint8_t>(owner::kPass, l.pass.bytes));
  TRY(allocate_taught());
  TRY(allocate_moments());
  if (settings_.request.averages) TRY(allocate_average());
  InferenceRequest inference = l.inference;
  inference.adapter = adapter();
  ASSIGN_OR_RETURN(session_, Session::open(model(), inference));
  products_.emplace(dense_, session_->team(),
                    reinterpret_cast<float*>(pass_memory_.data() + l.pass.products),
                    l.pass.rounded_in(pass_memory_.data()));
  layers_ = std::make_unique<LayerGradient>(*session_, dense_, l.pass, pass_memory_.data());
  layers_->balance_experts(settings_.expert_balance /
                           static_cast<float>(settings_.request.sequences));
  head_ = std::make_unique<HeadLoss>(*session_, dense_, l.pass, pass_memory_.data());
  return {};
}

Status Trainer::allocate_learned(std::shared_ptr<const Model> source) {
  const TrainingRequest& request = settings_.request;
  if (request.lora_rank) {
    ASSIGN_OR_RETURN(learned_adapter_,
                     LearnedAdapter::create(*source, request.lora_rank, settings_.seed, *arena_));
    model_ = std::move(source);
    learned_ = adapter()->tensors;
    return {};
  }
  ThreadTeam team(request.n_threads);
  ASSIGN_OR_RETURN(parameters_,
                   Parameters::create(*source, request, settings_.seed, ranks(), *arena_, team));
  model_ = parameters_.model();
  learned_ = model_->tensors;
  return {};
}

Status Trainer::allocate_taught() {
  const uint64_t top = settings_.request.teacher_top, n = layout_.n_tokens;
  if (!top) return {};
  ASSIGN_OR_RETURN(taught_.tokens, arena_->take<Token>(owner::kTeacher, n * top));
  ASSIGN_OR_RETURN(taught_.log_p, arena_->take<float>(owner::kTeacher, n * (top + 1)));
  ASSIGN_OR_RETURN(taught_losses_, arena_->take<TaughtLoss>(owner::kTeacher, n));
  return {};
}

TaughtRows Trainer::taught(size_t text) const {
  const size_t top = settings_.request.teacher_top, n = layout_.context;
  return {taught_.tokens.subspan(text * n * top, n * top),
          taught_.log_p.subspan(text * n * (top + 1), n * (top + 1))};
}

Status Trainer::allocate_moments() {
  ASSIGN_OR_RETURN(const auto moments, arena_->take<uint8_t>(owner::kOptimizer, layout_.optimizer));
  uint64_t offset = 0;
  for (const Tensor& tensor : learned_) {
    const Optimizer optimizer = optimizer_of(settings_.request.optimizer, tensor);
    moments_.emplace_back(optimizer, tensor,
                          remembered_rows(optimizer, tensor, ranks().rank(), ranks().size()),
                          static_cast<uint32_t>(moments_.size()), moments.data() + offset);
    if (learns(*model(), tensor)) offset += align_up(moments_.back().bytes(), kLine);
  }
  return {};
}

Status Trainer::allocate_average() {
  average_ = AveragedWeights(settings_.ema);
  ASSIGN_OR_RETURN(const std::span<float> memory,
                   arena_->take<float>(owner::kAveraged, layout_.averaged / sizeof(float)));
  float* at = memory.data();
  for (const Tensor& tensor : learned_) {
    if (!learns(*model(), tensor)) continue;
    const Share own = ranks().share(tensor.rows());
    average_.add({&tensor, own, own_row(tensor, own.begin), at});
    at += align_up(average_.all().back().count() * sizeof(float), kLine) / sizeof(float);
  }
  return {};
}

Status Trainer::exchange_average() {
  if (!settings_.request.averages) return {};
  average_.exchange(session_->team());
  for (const auto& rows : average_.all()) TRY(tell_rows(*rows.tensor, {0, rows.tensor->rows()}));
  return {};
}

// Those that lie here.
Parameters::Rows Trainer::rows_of(const Tensor& tensor) const {
  if (adapter()) return {{0, tensor.rows()}, learned_adapter_.data(tensor)};
  return parameters_.rows(tensor);
}

uint8_t* Trainer::own_row(const Tensor& tensor, uint64_t row) const {
  const Parameters::Rows here = rows_of(tensor);
  return here.data + (row - here.rows.begin) * tensor.row_bytes();
}

std::vector<Trainer::Slot> Trainer::slots() {
  std::vector<Slot> all;
  for (size_t i = 0; i < moments_.size(); ++i) {
    const Tensor& tensor = learned_[i];
    const Parameters::Rows here = rows_of(tensor);
    all.push_back({&tensor,
                   here.rows,
                   {here.data, here.rows.size() * tensor.row_bytes()},
                   learns(*model(), tensor) ? &moments_[i] : nullptr});
  }
  return all;
}

Status Trainer::gather_weights(const Slot& slot,
                               const std::function<Status(ByteView)>& take) const {
  if (is_shared(*slot.tensor))
    return gather_rows(*slot.tensor, {slot.weights.data(), slot.tensor->row_bytes()}, take);
  return ranks().first() ? take(slot.weights) : Status();
}

Status Trainer::gather_moments(const Slot& slot,
                               const std::function<Status(ByteView)>& take) const {
  if (slot.moments->is_of_all_rows())
    return ranks().first() ? take(slot.moments->memory()) : Status();
  for (const auto& part : slot.moments->parts()) TRY(gather_rows(*slot.tensor, part, take));
  return {};
}

Status Trainer::gather_average(const AveragedWeights::Rows& rows,
                               const std::function<Status(ByteView)>& take) const {
  return gather_rows(
      *rows.tensor,
      {reinterpret_cast<uint8_t*>(rows.average), rows.tensor->columns() * sizeof(float)}, take);
}

Status Trainer::gather_rows(const Tensor& tensor, const OptimizerState::Part& own,
                            const std::function<Status(ByteView)>& take) const {
  const uint64_t most = std::max<uint64_t>(1, (1 << 20) / own.row_bytes) * own.row_bytes;
  std::vector<uint8_t> others(ranks().first() && ranks().size() > 1 ? most : 0);
  for (uint32_t rank = 0; rank < ranks().size(); ++rank) {
    const uint64_t bytes = share_of(tensor.rows(), rank, ranks().size()).size() * own.row_bytes;
    for (uint64_t at = 0; at < bytes; at += most) {
      uint8_t* piece = rank == ranks().rank() ? own.rows + at : others.data();
      const std::span<uint8_t> told(piece, std::min(most, bytes - at));
      TRY(ranks().tell_first(rank, told));
      if (ranks().first()) TRY(take(told));
    }
  }
  return {};
}

}  // namespace enxuto
