#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "kernels/weight_gradients.h"
#include "plan/pieces.h"

namespace enxuto {
namespace {

const Codec& bf16() { return *find_codec(Type::BF16); }

double squares_of(ThreadTeam& team, const float* values, uint64_t n) {
  constexpr uint64_t kPiece = 1 << 16;
  std::vector<double> sums((n + kPiece - 1) / kPiece);
  team.parallel_for(static_cast<int64_t>(sums.size()), 1, [&](int64_t piece, int64_t, int) {
    const uint64_t begin = static_cast<uint64_t>(piece) * kPiece;
    const auto count = static_cast<int64_t>(std::min(kPiece, n - begin));
    sums[static_cast<size_t>(piece)] = kernels().dot(values + begin, values + begin, count);
  });
  double sum = 0;
  for (const double each : sums) sum += each;
  return sum;
}

}  // namespace

// Texts that go through a layer at the same time.
struct Trainer::Pass {
  TextRows texts;
  int64_t first;  // row of the batch
  int64_t rows() const { return texts.rows(); }
};

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

Result<StepResult> Trainer::loss(const Batch& batch) {
  TRY(begin(batch));
  TRY(there(false));
  TRY(measure());
  return result();
}

Result<StepResult> Trainer::step(const Batch& batch, float rate) {
  TRY(begin(batch));
  if (!adapter()) TRY(note_embedded_rows());
  TRY(there(true));
  TRY(measure());
  ASSIGN_OR_RETURN(StepResult done, result());
  rates_ = {
      steps_ + 1,        rate,          settings_.weight_decay, settings_.beta1, settings_.beta2,
      settings_.epsilon, settings_.seed};
  squares_ = 0;
  if (done.tokens > 0) {
    TRY(head_back(1 / static_cast<float>(done.tokens)));
    TRY(layers_back());
    if (!adapter()) TRY(embedding_back());
    if (!adapter() && model()->position_embedding)
      TRY(positions_back(*model()->position_embedding));
  }
  ++steps_;
  average_.update(session_->team(), steps_);
  done.gradient_norm = std::sqrt(squares_);
  return done;
}

// Looks the batch up in the embedding.
Status Trainer::begin(const Batch& batch) {
  const uint64_t context = layout_.context, texts = batch.tokens.size() / (context + 1);
  inputs_.clear();
  std::ranges::fill(losses_, TokenLoss{});
  std::ranges::fill(taught_losses_, TaughtLoss{});
  for (uint64_t text = 0; text < texts; ++text)
    for (uint64_t t = 0; t < context; ++t) {
      const Token* token = &batch.tokens[text * (context + 1) + t];
      losses_[inputs_.size()].target = token[1];
      losses_[inputs_.size()].counts = batch.counts[text * context + t] != 0;
      inputs_.push_back(token[0]);
    }
  if (shares_parameters()) return look_up_shared_rows();
  const std::span<const Token> tokens = inputs_;
  for (size_t at = 0, n = 0; at < tokens.size(); at += n) {
    const uint64_t position = at % context;
    n = std::min<uint64_t>(session_->batch(), context - position);
    TRY(session_->embed(tokens.subspan(at, n), static_cast<uint32_t>(position),
                        &states_[at * model()->hyper.width]));
  }
  return {};
}

// Block by block of the embedding, as begin() does.
Status Trainer::look_up_shared_rows() {
  const Tensor& table = *model()->token_embedding;
  const uint64_t width = table.columns(), row_bytes = table.row_bytes();
  for (uint64_t first = 0; first < table.rows(); first += kVocabularyBlock) {
    const Share block = {first, std::min(table.rows(), first + kVocabularyBlock)};
    TRY(parameters_.gather(table, block));
    for (size_t t = 0; t < inputs_.size(); ++t) {
      const uint64_t row = static_cast<uint64_t>(inputs_[t]) - first;  // huge where it is before
      if (row >= block.size()) continue;
      float* x = &states_[t * width];
      table.codec().decode(table.data.data() + row * row_bytes, x, width);
      for (uint64_t c = 0; c < width; ++c) x[c] *= model()->hyper.embedding_scale;
    }
  }
  for (size_t t = 0; t < inputs_.size(); t += layout_.context)
    session_->add_positions(0, layout_.context, &states_[t * width]);
  return {};
}

Status Trainer::note_embedded_rows() {
  std::vector<float> looked_up(model()->token_embedding->rows());
  for (const Token token : inputs_) looked_up[static_cast<size_t>(token)] = 1;
  TRY(ranks().sum(looked_up));
  embedded_rows_.clear();
  for (size_t row = 0; row < looked_up.size(); ++row)
    if (looked_up[row] > 0) embedded_rows_.push_back(static_cast<Token>(row));
  return {};
}

template <class Body>
Status Trainer::for_passes(const Body& body) {
  const int64_t context = layout_.context, texts = static_cast<int64_t>(inputs_.size()) / context;
  for (int64_t text = 0; text < texts; text += layout_.pass_sequences)
    TRY(body(
        Pass{{std::min<int64_t>(layout_.pass_sequences, texts - text), context}, text * context}));
  return {};
}

// Its weights are in memory until the session lets go: gathered, streamed, or as ever.
Status Trainer::hold_layer(uint32_t layer) {
  if (shares_parameters())
    for (const Tensor* matrix : shared_out_of(*model(), model()->layers[layer]))
      TRY(parameters_.gather(*matrix, {0, matrix->rows()}));
  return session_->hold_layer(layer);
}

Status Trainer::there(bool keeps_inputs) {
  const HyperParameters& hyper = model()->hyper;
  for (uint32_t layer = 0; layer < hyper.n_layers; ++layer) {
    TRY(hold_layer(layer));
    TRY(for_passes([&](const Pass& pass) -> Status {
      float* x = &states_[static_cast<size_t>(pass.first * hyper.width)];
      if (keeps_inputs) keep_input(layer, pass, x);
      layers_->forward(layer, pass.texts, x, x,
                       keeps_inputs ? kept_activations(layer, pass) : nullptr);
      return {};
    }));
    session_->let_go();
  }
  return {};
}

template <class Body>
Status Trainer::for_head_blocks(const Body& body) {
  const Tensor& head = *model()->output;
  for (uint64_t first = 0; first < head.rows(); first += kVocabularyBlock) {
    const Share block = {first, std::min(head.rows(), first + kVocabularyBlock)};
    if (shares_parameters()) TRY(parameters_.gather(head, block));
    const uint64_t row = shares_parameters() ? 0 : first;
    ASSIGN_OR_RETURN(WeightRows rows, session_->hold_rows(head, row, block.size()));
    TRY(body(HeadBlock{std::move(rows), static_cast<int64_t>(first)}));
    session_->let_go();
  }
  return {};
}

std::span<TokenLoss> Trainer::losses_of(const Pass& pass) {
  return losses_.subspan(static_cast<size_t>(pass.first), static_cast<size_t>(pass.rows()));
}

TaughtTokens Trainer::taught_of(const Pass& pass) {
  if (taught_losses_.empty()) return {};
  const size_t top = settings_.request.teacher_top, first = static_cast<size_t>(pass.first),
               n = static_cast<size_t>(pass.rows());
  return {taught_.tokens.subspan(first * top, n * top),
          taught_.log_p.subspan(first * (top + 1), n * (top + 1)), taught_losses_.subspan(first, n),
          settings_.teacher_weight};
}

Status Trainer::measure() {
  const uint32_t width = model()->hyper.width;
  return for_head_blocks([&](const HeadBlock& block) {
    return for_passes([&](const Pass& pass) -> Status {
      head_->measure(&states_[static_cast<size_t>(pass.first * width)], block, losses_of(pass),
                     taught_of(pass));
      return {};
    });
  });
}

Result<StepResult> Trainer::result() {
  double sum[] = {0, 0, 0};  // of the losses; of the tokens that count; of divergences
  const TaughtTokens taught = taught_of({{1, static_cast<int64_t>(inputs_.size())}, 0});
  for (size_t t = 0; t < inputs_.size(); ++t) {
    const TokenLoss& loss = losses_[t];
    if (!loss.counts) continue;
    sum[0] += loss.loss();
    ++sum[1];
    if (!taught.losses.empty()) sum[2] += taught.losses[t].loss(taught.at(t), loss.sum);
  }
  TRY(ranks().sum(sum));
  StepResult result;
  result.loss = sum[1] > 0 ? sum[0] / sum[1] : 0;
  if (!taught.losses.empty()) result.kld = sum[1] > 0 ? sum[2] / sum[1] : 0;
  result.tokens = static_cast<uint64_t>(sum[1]);
  if (std::isfinite(result.loss) && std::isfinite(result.kld.value_or(0))) return result;
  return Status::failed(fmt::format("the loss of step {} is no number", steps_ + 1),
                        "go on from the last checkpoint with a smaller --lr");
}

Status Trainer::head_back(float scale) {
  const Model& m = *model();
  const uint32_t width = m.hyper.width;
  TRY(for_head_blocks([&](const HeadBlock& block) {
    const Status summed = sum_head_block(block, scale);
    return summed.ok() && !adapter() ? move_head_block(block) : summed;
  }));
  float* gradient = gradients_.data();
  std::function<void(const NormGradient&)> see;
  if (!adapter()) {
    std::fill_n(gradient, 2 * width, 0.0f);
    see = [&](const NormGradient& of) {
      add_norm_gradient(m.hyper, session_->team(), of, gradient, gradient + width);
    };
  }
  TRY(for_passes([&](const Pass& pass) -> Status {
    const auto at = static_cast<size_t>(pass.first * width);
    head_->norm_back(&states_[at], pass.rows(), &state_gradients_[at], see);
    return {};
  }));
  if (adapter()) return {};
  std::vector<Piece> pieces = {{m.output_norm, 0, 1, gradient}};
  if (m.output_norm_bias) pieces.push_back({m.output_norm_bias, 0, 1, gradient + width});
  TRY(ranks().sum(gradients_.first(pieces.size() * width)));
  return move(pieces);
}

Status Trainer::sum_head_block(const HeadBlock& block, float scale) {
  const uint32_t width = model()->hyper.width;
  std::function<void(const LinearGradient&)> see;
  if (!adapter()) {
    std::fill_n(gradients_.begin(), block.rows.rows * width, 0.0f);
    see = [&](const LinearGradient& of) {
      products_->add_gradient(of.dy, of.n_rows, of.x, width, of.n_tokens, gradients_.data());
    };
  }
  const bool measured_whole = block.rows.rows == static_cast<int64_t>(model()->output->rows());
  return for_passes([&](const Pass& pass) -> Status {
    const auto at = static_cast<size_t>(pass.first * width);
    const bool at_hand = measured_whole && pass.rows() == static_cast<int64_t>(inputs_.size()) &&
                         taught_of(pass).losses.empty();  // measuring a teacher uses them up
    head_->backward(&states_[at], block, losses_of(pass), taught_of(pass), scale, at_hand,
                    &state_gradients_[at], see);
    return {};
  });
}

// Where the head is the embedding too, rows that the batch looked up wait for the other half of
// their gradient; what waits is not summed over the ranks yet.
Status Trainer::move_head_block(const HeadBlock& block) {
  const Model& m = *model();
  const uint64_t width = m.hyper.width;
  const auto first = static_cast<uint64_t>(block.first),
             end = first + static_cast<uint64_t>(block.rows.rows);
  std::vector<Piece> pieces;
  uint64_t begin = first;
  const auto until = [&](uint64_t row) {
    if (row > begin)
      pieces.push_back({m.output, begin, row - begin, &gradients_[(begin - first) * width]});
    begin = row + 1;
  };
  if (m.tied())
    for (size_t i = 0; i < embedded_rows_.size(); ++i) {
      const auto row = static_cast<uint64_t>(embedded_rows_[i]);
      if (row < first || row >= end) continue;
      std::copy_n(&gradients_[(row - first) * width], width, &embedded_[i * width]);
      until(row);
    }
  until(end);
  TRY(ranks().sum(gradients_.first((end - first) * width)));
  return move(pieces, first / kVocabularyBlock);
}

Status Trainer::layers_back() {
  const Model& m = *model();
  const SeeGradient see = adapter() ? collect_adapter() : collect();
  session_->walk_back(true);
  for (uint32_t layer = m.hyper.n_layers; layer-- > 0;) {
    const std::span<float> gradients = lay_out_layer_gradients(layer);
    TRY(hold_layer(layer));
    TRY(for_passes([&](const Pass& pass) {
      float* gradient = &state_gradients_[static_cast<size_t>(pass.first * m.hyper.width)];
      layers_->backward(layer, pass.texts, input_of(layer, pass), gradient, see,
                        kept_activations(layer, pass));
      return Status();
    }));
    session_->let_go();
    TRY(ranks().sum(gradients));
    TRY(move(layer_pieces_));
  }
  session_->walk_back(false);
  return {};
}

// The layer's tensors side by side, all zero.
std::span<float> Trainer::lay_out_layer_gradients(uint32_t layer) {
  layer_pieces_.clear();
  uint64_t offset = 0;
  for (const Tensor* t : learned_of(model()->layers[layer], adapter().get())) {
    layer_pieces_.push_back({t, 0, t->rows(), &gradients_[offset]});
    offset += align_up(t->count() * sizeof(float), kLine) / sizeof(float);
  }
  std::fill_n(gradients_.begin(), offset, 0.0f);
  return gradients_.first(offset);
}

float* Trainer::gradient_of(const Tensor& tensor) {
  return std::ranges::find(layer_pieces_, &tensor, &Piece::tensor)->gradient;
}

// Adds up what the layer at hand tells.
SeeGradient Trainer::collect() {
  ThreadTeam& team = session_->team();
  return {[this, &team](const LinearGradient& of) {
            const auto columns = static_cast<int64_t>(of.w.columns());
            products_->add_gradient(of.dy, of.n_rows, of.x, columns, of.n_tokens,
                                    gradient_of(of.w) + of.first_row * columns);
            if (of.bias)
              add_bias_gradient(team, of.n_tokens, of.dy, of.n_rows, gradient_of(*of.bias));
          },
          [this, &team](const NormGradient& of) {
            add_norm_gradient(model()->hyper, team, of, gradient_of(of.w),
                              of.bias ? gradient_of(*of.bias) : nullptr);
          }};
}

// The same where an adapter learns.
SeeGradient Trainer::collect_adapter() {
  SeeGradient see;
  see.low_rank = [this](const LowRankGradient& of) {
    const LowRank& pair = *adapter()->find(of.w);
    products_->add_gradient(of.dlow, of.rank, of.x, static_cast<int64_t>(of.w.columns()),
                            of.n_tokens, gradient_of(*pair.a));
    products_->add_gradient(of.dy, static_cast<int64_t>(of.w.rows()), of.low, of.rank, of.n_tokens,
                            gradient_of(*pair.b));
  };
  return see;
}

// Rows that no token looked up still lose what decays, and follow their momentum.
Status Trainer::embedding_back() {
  const Model& m = *model();
  const uint64_t width = m.hyper.width;
  if (!m.tied()) std::fill_n(embedded_.begin(), embedded_rows_.size() * width, 0.0f);
  for (size_t t = 0; t < inputs_.size(); ++t) {
    const auto i = static_cast<size_t>(std::ranges::lower_bound(embedded_rows_, inputs_[t]) -
                                       embedded_rows_.begin());
    for (uint64_t c = 0; c < width; ++c)
      embedded_[i * width + c] += m.hyper.embedding_scale * state_gradients_[t * width + c];
  }
  TRY(ranks().sum(embedded_.first(embedded_rows_.size() * width)));
  std::vector<Piece> pieces;
  for (size_t i = 0; i < embedded_rows_.size(); ++i)
    pieces.push_back(
        {m.token_embedding, static_cast<uint64_t>(embedded_rows_[i]), 1, &embedded_[i * width]});
  if (!m.tied()) TRY(move_untouched_rows());
  return move(pieces, m.token_embedding->rows() / kVocabularyBlock + 1);
}

// The same rows in each text, as many at once as there is room for; those behind the context decay.
Status Trainer::positions_back(const Tensor& positions) {
  const uint64_t width = positions.columns(), most = gradients_.size() / width;
  for (uint64_t first = 0; first < positions.rows(); first += most) {
    const uint64_t n = std::min(most, positions.rows() - first);
    const std::span<float> rows = gradients_.first(n * width);
    std::ranges::fill(rows, 0.0f);
    for (size_t t = 0; t < inputs_.size(); ++t) {
      const uint64_t row = t % layout_.context - first;  // huge where it is before the first
      for (uint64_t c = 0; row < n && c < width; ++c)
        rows[row * width + c] += state_gradients_[t * width + c];
    }
    TRY(ranks().sum(rows));
    TRY(move({{Piece{&positions, first, n, rows.data()}}}));
  }
  return {};
}

Status Trainer::move_untouched_rows() {
  const Tensor& embedding = *model()->token_embedding;
  const uint64_t width = embedding.columns();
  std::fill(gradients_.begin(), gradients_.end(), 0.0f);
  const uint64_t most = gradients_.size() / width;
  std::vector<Piece> pieces;
  uint64_t begin = 0;
  const auto until = [&](uint64_t row) {
    for (; begin < row; begin += most)
      pieces.push_back({&embedding, begin, std::min(most, row - begin), gradients_.data()});
    begin = row + 1;
  };
  for (const Token row : embedded_rows_) until(static_cast<uint64_t>(row));
  until(embedding.rows());
  return move(pieces);
}

bool Trainer::moves_in_parts(const Tensor& tensor) const {
  return &tensor == model()->output || &tensor == model()->token_embedding;
}

// Pieces of the same tensor, which are neighbours.
template <class Body>
Status Trainer::for_tensors(std::span<const Piece> group, const Body& body) {
  while (!group.empty()) {
    const Tensor* tensor = group[0].tensor;
    const auto end =
        std::ranges::find_if(group, [&](const Piece& p) { return p.tensor != tensor; });
    const auto n = static_cast<size_t>(end - group.begin());
    TRY(body(group.first(n)));
    group = group.subspan(n);
  }
  return {};
}

Status Trainer::move(std::span<const Piece> group, uint64_t part) {
  double squares = 0, count = 0;
  std::vector<Gathered> tensors;
  TRY(for_tensors(group, [&](std::span<const Piece> rows) -> Status {
    tensors.push_back({rows, 0, part});
    for (const Piece& piece : rows) {
      const uint64_t n = piece.n_rows * piece.tensor->columns();
      tensors.back().squares += squares_of(session_->team(), piece.gradient, n);
      count += static_cast<double>(n);
    }
    squares += tensors.back().squares;
    return {};
  }));
  if (!std::isfinite(squares))
    return Status::failed(fmt::format("the gradient of step {} is no number", steps_ + 1),
                          "go on from the last checkpoint with a smaller --lr");
  squares_ += squares;
  const double most = settings_.clip * std::sqrt(count / static_cast<double>(layout_.n_parameters));
  const double norm = std::sqrt(squares);
  const auto scale = static_cast<float>(settings_.clip > 0 && norm > most ? most / norm : 1.0);
  for (const Gathered& rows : tensors) move_rows(rows, scale);
  return tell_rows(group);
}

void Trainer::move_rows(const Gathered& rows, float scale) {
  const Tensor& tensor = *rows.rows[0].tensor;
  const OptimizerState& moments = moments_[static_cast<size_t>(&tensor - learned_.data())];
  const float its = moments.scale(session_->team(), rates_, scale, rows, moves_in_parts(tensor));
  for (const Piece& piece : rows.rows) move_own_rows(piece, its);
}

void Trainer::move_own_rows(const Piece& piece, float scale) {
  const Tensor& tensor = *piece.tensor;
  const Share own = ranks().share(tensor.rows()).within({piece.first, piece.first + piece.n_rows});
  if (own.size() == 0) return;
  const auto place = static_cast<size_t>(piece.tensor - learned_.data());
  moments_[place].step(session_->team(), rates_, scale, own.begin, own.size(),
                       piece.gradient + (own.begin - piece.first) * tensor.columns(),
                       own_row(tensor, own.begin));
}

// Rows between pieces of a tensor are told along: they are the same everywhere, and so messages are
// few.
Status Trainer::tell_rows(std::span<const Piece> group) {
  return for_tensors(group, [&](std::span<const Piece> rows) {
    return tell_rows(*rows[0].tensor, {rows[0].first, rows.back().first + rows.back().n_rows});
  });
}

Status Trainer::tell_rows(const Tensor& tensor, const Share& rows) {
  if (is_shared(tensor)) return {};
  for (uint32_t rank = 0; rank < ranks().size(); ++rank) {
    const Share its = share_of(tensor.rows(), rank, ranks().size()).within(rows);
    const uint64_t row_bytes = tensor.row_bytes();
    TRY(ranks().tell(rank, {own_row(tensor, its.begin), its.size() * row_bytes}));
  }
  return {};
}

void Trainer::keep_input(uint32_t layer, const Pass& pass, const float* x) {
  const uint64_t width = model()->hyper.width;
  uint8_t* kept = kept_input(layer, pass);
  session_->team().parallel_for(pass.rows(), 16, [&](int64_t begin, int64_t end, int) {
    const auto first = static_cast<uint64_t>(begin), n = static_cast<uint64_t>(end - begin);
    bf16().encode(x + first * width, nullptr, kept + bf16().row_bytes(first * width), n * width);
  });
}

const float* Trainer::input_of(uint32_t layer, const Pass& pass) {
  const uint64_t width = model()->hyper.width;
  const uint8_t* kept = kept_input(layer, pass);
  auto* x = reinterpret_cast<float*>(pass_memory_.data() + layout_.pass.x);
  session_->team().parallel_for(pass.rows(), 16, [&](int64_t begin, int64_t end, int) {
    const auto first = static_cast<uint64_t>(begin), n = static_cast<uint64_t>(end - begin);
    bf16().decode(kept + bf16().row_bytes(first * width), x + first * width, n * width);
  });
  return x;
}

// Null where they are not kept.
uint8_t* Trainer::kept_activations(uint32_t layer, const Pass& pass) const {
  if (activations_.empty()) return nullptr;
  const uint64_t bytes = layout_.pass.kept_bytes();
  const uint64_t passes = activations_.size() / bytes / model_->hyper.n_layers;
  const uint64_t number = static_cast<uint64_t>(pass.first) / layout_.pass.n_tokens;
  return &activations_[(layer * passes + number) * bytes];
}

uint8_t* Trainer::kept_input(uint32_t layer, const Pass& pass) const {
  const HyperParameters& hyper = model_->hyper;
  const uint64_t first = static_cast<uint64_t>(pass.first) * hyper.width;
  return &checkpoints_[layer * (checkpoints_.size() / hyper.n_layers) + bf16().row_bytes(first)];
}

}  // namespace enxuto
