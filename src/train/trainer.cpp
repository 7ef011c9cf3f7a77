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

}  // namespace

// Texts that go through a layer at the same time.
struct Trainer::Pass {
  TextRows texts;
  int64_t first;  // row of the batch
  int64_t rows() const { return texts.rows(); }
};

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
