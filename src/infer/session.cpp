#include "infer/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "base/bytes.h"
#include "infer/forward.h"
#include "memory/arena.h"
#include "models/finite.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

// What the forward pass takes for granted of a model, however it was opened.
Status check_runnable(const Model& model) {
  for (const Tensor& tensor : model.tensors)
    if (tensor.data.size() < tensor.bytes())
      return Status::bad_input(fmt::format("tensor {} has no data", tensor.name),
                               "a model without its weights can be planned, but not run");
  const HyperParameters& hyper = model.hyper;
  for (uint32_t l = 0; l < hyper.n_layers; ++l) {
    const LayerWidths widths = hyper.widths(l);
    if (hyper.attends(l) && (widths.n_kv_heads == 0 || widths.n_heads % widths.n_kv_heads != 0))
      return Status::bad_input(
          fmt::format("{} heads cannot share {} key heads", widths.n_heads, widths.n_kv_heads));
  }
  if (hyper.key_dim != hyper.value_dim)
    return Status::bad_input(
        fmt::format("keys of {} and values of {} numbers per head", hyper.key_dim, hyper.value_dim),
        "enxuto runs models whose keys and values are equally wide");
  if (hyper.key_dim > kMaxHeadDim)
    return Status::bad_input(fmt::format("heads of {} numbers", hyper.key_dim),
                             fmt::format("enxuto runs heads of up to {}", kMaxHeadDim));
  return Status();
}

// In the same way, of what is added to it.
Status check_adapter(const Adapter* adapter) {
  for (size_t i = 0; adapter && i < adapter->tensors.size(); ++i)
    if (adapter->tensors[i].data.size() < adapter->tensors[i].bytes())
      return Status::bad_input(fmt::format("tensor {} has no data", adapter->tensors[i].name));
  return Status();
}

// Norms, biases and rope factors, which are few: damage is found before a token is run. Where
// weights are streamed they are looked at in memory: a page of the mapped file brings its
// neighbours.
Status check_vectors(const Model& model, const WeightStream& weights, ThreadTeam& team) {
  for (const Tensor& tensor : model.tensors) {
    if (tensor.n_dims != 1) continue;
    Tensor in_memory = tensor;
    in_memory.data = {weights.data(tensor), tensor.data.size()};
    if (!all_finite(in_memory, team)) return not_finite(tensor);
  }
  return Status();
}

}  // namespace

struct Session::State {
  std::shared_ptr<const Model> model;
  SessionLayout layout;
  std::unique_ptr<Arena> arena;
  std::unique_ptr<WeightStream> weights;
  LowRankWeights adapter;
  std::unique_ptr<Forward> forward;
  std::span<float> logits;
  std::span<uint32_t> lookup;
  uint32_t n_tokens = 0;

  template <class Body>
  Status rounding(Rounding rounding, const Body& body) {
    forward->set_rounding(rounding);
    const Status status = body();
    forward->set_rounding(Rounding::kExact);
    return status;
  }
};

Result<std::unique_ptr<Session>> Session::open(std::shared_ptr<const Model> model,
                                               const InferenceRequest& request) {
  TRY(check_runnable(*model));
  TRY(check_adapter(request.adapter.get()));
  ASSIGN_OR_RETURN(SessionLayout layout, lay_out_session(*model, request));
  ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(*model, request));
  auto state = std::make_unique<State>();
  state->model = std::move(model);
  state->layout = std::move(layout);
  ASSIGN_OR_RETURN(state->arena, Arena::open(map));
  Arena& arena = *state->arena;
  ASSIGN_OR_RETURN(const auto kv, arena.take<uint8_t>(owner::kKvCache, state->layout.kv_bytes));
  ASSIGN_OR_RETURN(const auto scratch,
                   arena.take<uint8_t>(owner::kScratch, state->layout.scratch.bytes));
  ASSIGN_OR_RETURN(const auto logits,
                   arena.take<uint8_t>(owner::kLogits, state->layout.logits_bytes));
  state->logits = {reinterpret_cast<float*>(logits.data()),
                   size_t{state->layout.logit_rows} * state->model->hyper.vocabulary};
  if (state->layout.draft) {
    ASSIGN_OR_RETURN(
        state->lookup,
        arena.take<uint32_t>(owner::kDrafting, state->layout.lookup_bytes / sizeof(uint32_t)));
  }
  ASSIGN_OR_RETURN(WeightPlan weights, plan_weights(*state->model, request));
  ASSIGN_OR_RETURN(state->weights, WeightStream::open(*state->model, std::move(weights), arena));
  ASSIGN_OR_RETURN(state->adapter, LowRankWeights::open(*state->model, request.adapter, arena));
  state->forward = std::make_unique<Forward>(*state->model, state->layout, *state->weights,
                                             state->adapter, scratch.data(), kv.data());
  TRY(check_vectors(*state->model, *state->weights, state->forward->team()));
  return std::unique_ptr<Session>(new Session(std::move(state)));
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::~Session() = default;

const Model& Session::model() const { return *state_->model; }
const MemoryMap& Session::memory_map() const { return state_->arena->map(); }
uint32_t Session::context() const { return state_->layout.context; }
uint32_t Session::batch() const { return state_->layout.batch; }
uint32_t Session::logit_rows() const { return state_->layout.logit_rows; }
uint32_t Session::draft() const { return state_->layout.draft; }
std::span<uint32_t> Session::lookup_memory() { return state_->lookup; }
uint32_t Session::n_tokens() const { return state_->n_tokens; }
StreamStatistics Session::stream_statistics() const { return state_->weights->statistics(); }
ThreadTeam& Session::team() { return state_->forward->team(); }
float* Session::hidden_buffer() { return state_->forward->hidden(); }
float* Session::logits_buffer() { return state_->logits.data(); }
void Session::set_rounding(Rounding rounding) { state_->forward->set_rounding(rounding); }
void Session::set_input_scales(InputScales scales) { state_->forward->set_input_scales(scales); }
void Session::set_operator_times(OperatorTimes* times) {
  state_->forward->set_operator_times(times);
}
void Session::set_hooks(ForwardHooks hooks) { state_->forward->set_hooks(std::move(hooks)); }

uint32_t Session::rewind(uint32_t n_tokens) {
  State& s = *state_;
  if (n_tokens < s.n_tokens) s.n_tokens = s.forward->cache().can_continue(n_tokens) ? n_tokens : 0;
  return s.n_tokens;
}

Status Session::check_room(size_t n) const {
  if (n == 0) return Status::usage("no tokens to run", "give at least one");
  if (n <= context() - n_tokens()) return {};
  return Status::does_not_fit(
      fmt::format("the context of {} tokens is full: it holds {}, and {} more were to come",
                  format_count(context()), format_count(n_tokens()), format_count(n)),
      "use a larger --context, or a shorter prompt");
}

Result<std::span<const float>> Session::feed(std::span<const Token> tokens) {
  State& s = *state_;
  TRY(check_room(tokens.size()));
  int64_t n = 0;
  const auto passes = [&]() -> Status {
    for (; !tokens.empty(); tokens = tokens.subspan(n)) {
      if (interrupted()) return Status::interrupted();
      n = static_cast<int64_t>(std::min<size_t>(tokens.size(), batch()));
      TRY(embed(tokens.first(n), s.n_tokens, hidden_buffer()));
      TRY(run_layers(0, model().hyper.n_layers, s.n_tokens, n, hidden_buffer()));
      s.n_tokens += static_cast<uint32_t>(n);
    }
    return {};
  };
  TRY(s.rounding(Rounding::kFastest, passes));
  const std::span<float> row = s.logits.first(model().hyper.vocabulary);
  TRY(logits(hidden_buffer() + (n - 1) * model().hyper.width, 1, row.data()));
  if (!all_finite(row)) return explain_no_numbers(model(), team());
  return std::span<const float>(row);
}

Result<std::span<const float>> Session::feed_each(std::span<const Token> tokens) {
  State& s = *state_;
  assert(tokens.size() <= batch() && tokens.size() <= logit_rows());
  TRY(check_room(tokens.size()));
  if (interrupted()) return Status::interrupted();
  const auto n = static_cast<int64_t>(tokens.size());
  const std::span<float> rows = s.logits.first(tokens.size() * model().hyper.vocabulary);
  const auto pass = [&]() -> Status {
    TRY(embed(tokens, s.n_tokens, hidden_buffer()));
    TRY(run_layers(0, model().hyper.n_layers, s.n_tokens, n, hidden_buffer()));
    return logits(hidden_buffer(), n, rows.data());
  };
  TRY(s.rounding(Rounding::kOfOneToken, pass));
  s.n_tokens += static_cast<uint32_t>(n);
  if (!all_finite(rows)) return explain_no_numbers(model(), team());
  return std::span<const float>(rows);
}

Status Session::embed(std::span<const Token> tokens, uint32_t position, float* hidden) {
  assert(tokens.size() <= batch());
  const uint32_t vocabulary = model().hyper.vocabulary;
  for (const Token token : tokens)
    if (token < 0 || static_cast<uint32_t>(token) >= vocabulary)
      return Status::bad_input(
          fmt::format("token {} is not among the model's {}", token, format_count(vocabulary)),
          "the tokenizer and the weights of this file do not belong together");
  TRY(state_->forward->embed(tokens, hidden));
  add_positions(position, static_cast<int64_t>(tokens.size()), hidden);
  return {};
}

void Session::add_positions(uint32_t position, int64_t n, float* hidden) {
  const Tensor* table = model().position_embedding;
  assert(!table || position + static_cast<uint64_t>(n) <= table->rows());
  if (table) state_->forward->add_positions(*table, position, n, hidden);
}

Status Session::run_layers(uint32_t begin, uint32_t end, uint32_t position, int64_t n,
                           float* hidden) {
  assert(n <= batch() && position + n <= context() && end <= model().hyper.n_layers);
  return state_->forward->run_layers(begin, end, position, n, hidden);
}

void Session::set_cache_format(uint32_t layer, KvFormat format) {
  SessionLayout& layout = state_->layout;
  KvLayer& l = layout.kv[layer];
  l.set_format(model().hyper, format);
  assert(l.key_bytes && l.value_bytes);
  assert(l.offset + uint64_t{l.rows} * l.n_heads * l.row_bytes() <=
         (layer + 1 < layout.kv.size() ? layout.kv[layer + 1].offset : layout.kv_bytes));
  state_->n_tokens = 0;
}

Status Session::hold_layer(uint32_t layer) {
  assert(layer < model().hyper.n_layers);
  return state_->weights->hold(layer);
}

Result<WeightRows> Session::hold_rows(const Tensor& matrix, uint64_t first, uint64_t n) {
  return state_->weights->hold_rows(matrix, first, n);
}

void Session::walk_back(bool back) { state_->weights->walk_back(back); }

void Session::let_go() { state_->weights->let_go(); }

WeightRows Session::weight_rows(const Tensor& tensor) const {
  return state_->weights->rows(tensor);
}

const LowRankMatrix* Session::low_rank(const Tensor& w) const { return state_->adapter.find(w); }

void Session::final_norm(const float* hidden, int64_t n, float* normed) {
  state_->forward->final_norm(hidden, n, normed);
}

void Session::multiply(const MatrixView& w, const float* x, int64_t n, float* y) {
  assert(n <= batch());
  state_->forward->multiply(w, x, n, y);
}

Status Session::logits(const float* hidden, int64_t n, float* out) {
  assert(n <= logit_rows());
  return state_->forward->head(hidden, n, out);
}

}  // namespace enxuto
