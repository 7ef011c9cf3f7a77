#include "infer/forward.h"

#include <algorithm>
#include <cmath>

namespace enxuto {
namespace {

// Multiplications worth a hand-over to another thread; less is done where it is.
constexpr int64_t kWorthSharing = 32768;
// Queries of one piece of attention.
constexpr int64_t kQueries = 32;

}  // namespace

Forward::Forward(const Model& model, const SessionLayout& layout, WeightStream& weights,
                 const LowRankWeights& adapter, uint8_t* scratch, uint8_t* kv_memory)
    : model_(model),
      hyper_(model.hyper),
      k_(kernels()),
      weights_(weights),
      adapter_(adapter),
      team_(layout.n_threads),
      cache_(model.hyper, layout, kv_memory),
      rope_(hyper_, false, floats(model.rope_factors)),
      sliding_rope_(hyper_, true, nullptr),
      buffers_(scratch + layout.scratch.prepared, std::max(layout.batch, layout.logit_rows),
               static_cast<int64_t>(layout.widest_input), layout.n_threads) {
  const auto piece = [&](uint64_t offset) { return reinterpret_cast<float*>(scratch + offset); };
  hidden_ = piece(layout.scratch.hidden);
  wide_ = piece(layout.scratch.wide);
  projections_ = piece(layout.scratch.projections);
  angles_ = piece(layout.scratch.angles);
  sliding_angles_ = piece(layout.scratch.sliding_angles);
  low_ = piece(layout.scratch.low);
}

Status Forward::embed(std::span<const Token> tokens, float* x) {
  const MatrixView table = view(*model_.token_embedding);
  const bool replaced = table.data != weights_.data(*model_.token_embedding);
  const Codec& codec = *find_codec(table.type);
  for (size_t t = 0; t < tokens.size(); ++t) {
    const uint8_t* source = table.data + static_cast<uint64_t>(tokens[t]) * table.row_bytes;
    if (weights_.reads_embedding_rows() && !replaced) {
      ASSIGN_OR_RETURN(source, weights_.embedding_row(static_cast<uint64_t>(tokens[t])));
    }
    float* row = x + t * hyper_.width;
    codec.decode(source, row, hyper_.width);
    if (hyper_.embedding_scale != 1.0f)
      for (uint32_t i = 0; i < hyper_.width; ++i) row[i] *= hyper_.embedding_scale;
  }
  return {};
}

Status Forward::run_layers(uint32_t begin, uint32_t end, uint32_t position, int64_t n, float* x) {
  rope_.fill(position, n, angles_);
  if (hyper_.sliding_window) sliding_rope_.fill(position, n, sliding_angles_);
  for (uint32_t l = begin; l < end; ++l) {
    if (hyper_.attends(l)) TRY(attention(l, position, n, x));
    TRY(feed_forward(l, n, x));
  }
  return {};
}

// x += attention(norm(x)): (n, width), in place.
Status Forward::attention(uint32_t l, uint32_t position, int64_t n, float* x) {
  const LayerWeights& w = model_.layers[l];
  const LayerWidths widths = hyper_.widths(l);
  const int64_t key_width = int64_t{widths.n_kv_heads} * hyper_.key_dim,
                value_width = int64_t{widths.n_kv_heads} * hyper_.value_dim,
                query_width = int64_t{widths.n_heads} * hyper_.key_dim;
  const Rope& rope = hyper_.slides(l) ? sliding_rope_ : rope_;
  const float* angles = hyper_.slides(l) ? sliding_angles_ : angles_;
  float *normed = wide_, *attended = wide_;
  float *q = projections_, *k = q + n * query_width, *v = k + n * key_width;
  float* projected = projections_;

  norm(x, w.attn_norm, n, normed);
  TRY(linear(Operator::kQkv, normed, n,
             {{w.q, w.q_bias, q}, {w.k, w.k_bias, k}, {w.v, w.v_bias, v}}));
  cache_.make_room(l, position, n);
  for_tokens(n, [&](int64_t t) {
    float *q_t = q + t * query_width, *k_t = k + t * key_width;
    for (uint32_t h = 0; h < widths.n_heads; ++h)
      shape_head(w.q_norm, rope, angles + t * rope.dims(), q_t + h * hyper_.key_dim);
    if (cache_.rotates_keys(l)) rotate_heads(q_t, widths.n_heads, hyper_.key_dim);
    for (uint32_t h = 0; h < widths.n_kv_heads; ++h)
      shape_head(w.k_norm, rope, angles + t * rope.dims(), k_t + h * hyper_.key_dim);
    cache_.store(k_, l, position + static_cast<uint32_t>(t), k_t, v + t * value_width);
  });
  attend(l, position, n, q, attended);
  TRY(linear(Operator::kAttentionOutput, attended, n, {{w.attn_output, nullptr, projected}}));
  add_normed(projected, w.post_attn_norm, n, x);
  return {};
}

// x += ffn(norm(x)): (n, width), in place.
Status Forward::feed_forward(uint32_t l, int64_t n, float* x) {
  const LayerWeights& w = model_.layers[l];
  const int64_t width = hyper_.widths(l).ffn_width;
  float *normed = wide_, *fed = wide_;
  float *gate = projections_, *up = gate + n * width;
  norm(x, w.ffn_norm, n, normed);
  TRY(linear(Operator::kGateUp, normed, n, {{w.gate, nullptr, gate}, {w.up, nullptr, up}}));
  gate_mul(gate, up, width, n);
  TRY(linear(Operator::kDown, gate, n, {{w.down, nullptr, fed}}));
  add_normed(fed, w.post_ffn_norm, n, x);
  return {};
}

// out (n, n_heads, value_dim) = causal attention of q (n, n_heads, key_dim) over the cache, in
// pieces of a few neighbouring tokens times the heads that share keys and values.
void Forward::attend(uint32_t l, uint32_t position, int64_t n, const float* q, float* out) {
  const OperatorTimer timer(times_, Operator::kAttention);
  const int64_t n_heads = hyper_.widths(l).n_heads, n_kv_heads = hyper_.widths(l).n_kv_heads;
  const int64_t sharing = n_heads / n_kv_heads;
  // One token has few pieces: where whole groups would leave threads without work, single heads.
  const bool single = n == 1 || rounding_ == Rounding::kOfOneToken;
  const bool uneven = single && n_kv_heads % team_.size() != 0;
  const int64_t heads = uneven || sharing > kQueries ? 1 : sharing;
  const int64_t head_pieces = n_heads / heads, tokens = single ? 1 : kQueries / heads;
  const int64_t cost = (position + n / 2 + 1) * std::min(n, tokens) * heads * hyper_.key_dim;
  const int64_t grain = std::max<int64_t>(1, kWorthSharing / cost);
  const auto piece = [&](int64_t i, float* scratch) {
    AttendQuery queries[kQueries];
    int64_t n_queries = 0;
    const int64_t head = i % head_pieces * heads, token = i / head_pieces * tokens;
    const KvCache::HeadView kv = cache_.head(l, static_cast<uint32_t>(head / sharing));
    for (int64_t t = token; t < std::min(n, token + tokens); ++t) {
      const uint32_t at = position + static_cast<uint32_t>(t);
      for (int64_t h = t * n_heads + head, end = h + heads; h < end; ++h)
        queries[n_queries++] = {q + h * hyper_.key_dim, out + h * hyper_.value_dim,
                                int64_t{cache_.horizon(l, at)} - kv.first,
                                int64_t{at} + 1 - kv.first};
    }
    k_.attend(queries, n_queries, kv.rows, hyper_.key_dim, hyper_.attention_scale, scratch);
    if (cache_.rotates_values(l))
      for (int64_t j = 0; j < n_queries; ++j) k_.rotate(queries[j].out, hyper_.value_dim);
  };
  team_.parallel_for(head_pieces * ((n + tokens - 1) / tokens), grain,
                     [&](int64_t begin, int64_t end, int thread) {
                       for (int64_t i = begin; i < end; ++i)
                         piece(i, buffers_.thread_scratch(thread));
                     });
}

void Forward::final_norm(const float* x, int64_t n, float* normed) {
  norm(x, model_.output_norm, n, normed);
}

void Forward::multiply(const MatrixView& w, const float* x, int64_t n, float* y) {
  const MatmulJob job = {w, nullptr, y, w.rows};
  matmul(k_, team_, buffers_, x, w.columns, n, {&job, 1});
}

// Final norm, head, and the cap on the logits where the model has one.
Status Forward::head(const float* x, int64_t n, float* logits) {
  final_norm(x, n, wide_);
  TRY(linear(Operator::kHead, wide_, n, {{model_.output, nullptr, logits}}));
  const float cap = hyper_.final_logit_softcap;
  if (cap != 0.0f)
    for (int64_t i = 0; i < n * hyper_.vocabulary; ++i)
      logits[i] = cap * std::tanh(logits[i] / cap);
  return {};
}

Status Forward::linear(Operator op, const float* x, int64_t n,
                       std::initializer_list<Linear> layers) {
  OperatorTimer timer(times_, op);
  for (const Linear& layer : layers)
    timer.add(layer.w->row_bytes() * layer.w->rows(), static_cast<uint64_t>(n) * layer.w->count());
  TRY(multiply(x, n, layers));
  if (!adapter_.empty()) add_adapter(x, n, layers);
  return {};
}

void Forward::add_adapter(const float* x, int64_t n, std::initializer_list<Linear> layers) {
  for (const Linear& layer : layers)
    if (const LowRankMatrix* low_rank = adapter_.find(*layer.w)) {
      low_rank->down(k_, team_, x, n, low_);
      low_rank->up(k_, team_, low_, n, layer.y);
    }
}

// All layers read the same input: it is prepared once, unless they want it in different ways, and
// the threads meet once; where matrices are streamed, once a slice.
Status Forward::multiply(const float* x, int64_t n, std::initializer_list<Linear> layers) {
  MatmulJob jobs[3];
  size_t n_jobs = 0;
  int64_t shared = 0;
  bool alike = true, streamed = false;
  const auto columns = static_cast<int64_t>(layers.begin()->w->columns());
  for (const Linear& layer : layers) {
    const MatrixView w = view(*layer.w);
    jobs[n_jobs++] = {w, floats(layer.bias), layer.y, w.rows};
    streamed |= weights_.streams() && w.data == layer.w->data.data();
    const int64_t own = sharing(w.type);
    alike &= own == 0 || shared == 0 || own == shared;
    shared = std::max(shared, own);
  }
  if (!alike) {
    for (const Linear& layer : layers) TRY(multiply(x, n, {layer}));
    return {};
  }
  if (hooks_.on_linear_input)
    for (const Linear& layer : layers) hooks_.on_linear_input(*layer.w, x, columns, n);
  prepare_input(k_, team_, buffers_, x, columns, columns, n, shared);
  if (!streamed) {
    enxuto::multiply(k_, team_, buffers_, n, std::span(jobs, n_jobs), rounding());
    return {};
  }
  for (size_t i = 0; i < n_jobs; ++i) TRY(stream(*layers.begin()[i].w, jobs[i], n));
  return {};
}

// Of the input's values that share a scale in its 8-bit codes; 0: this format reads floats.
int64_t Forward::sharing(Type type) const {
  if (!k_.reads_codes(type)) return 0;
  constexpr int64_t kSuperBlock = 256;
  const bool coarse =
      input_scales_ == InputScales::kOfLlamaCpp && find_codec(type)->block_values == kSuperBlock;
  return coarse ? kSuperBlock : kFineScale;
}

// llama.cpp multiplies by the weights as they are stored.
Rounding Forward::rounding() const {
  const bool exact = rounding_ == Rounding::kFastest && input_scales_ == InputScales::kOfLlamaCpp;
  return exact ? Rounding::kExact : rounding_;
}

// One matrix of several, whose input is prepared: slice by slice, unless it was replaced.
Status Forward::stream(const Tensor& tensor, const MatmulJob& job, int64_t n) {
  if (job.w.data != tensor.data.data()) {
    enxuto::multiply(k_, team_, buffers_, n, {&job, 1}, rounding());
    return {};
  }
  const WeightPlan& plan = weights_.plan();
  uint32_t u = plan.first_of[static_cast<size_t>(&tensor - model_.tensors.data())];
  for (; u < plan.slices.size() && plan.slices[u].tensor == &tensor; ++u) {
    const WeightPiece& piece = plan.slices[u];
    MatmulJob slice = job;
    ASSIGN_OR_RETURN(slice.w.data, weights_.acquire(u));
    slice.w.rows = static_cast<int64_t>(piece.n_rows);
    slice.y += piece.first_row;
    if (slice.bias) slice.bias += piece.first_row;
    enxuto::multiply(k_, team_, buffers_, n, {&slice, 1}, rounding());
    weights_.release(u);
  }
  return {};
}

void Forward::norm(const float* x, const Tensor* weight, int64_t n, float* y) {
  const int64_t width = hyper_.width;
  for_tokens(n, [&](int64_t t) {
    k_.rms_norm(x + t * width, floats(weight), hyper_.norm_epsilon, width, y + t * width);
  });
}

// x += branch, normed where the architecture norms what a branch adds.
void Forward::add_normed(float* branch, const Tensor* weight, int64_t n, float* x) {
  if (weight) norm(branch, weight, n, branch);
  for_tokens(
      n, [&](int64_t t) { k_.add(branch + t * hyper_.width, hyper_.width, x + t * hyper_.width); });
}

void Forward::gate_mul(float* gate, const float* up, int64_t width, int64_t n) {
  const auto mul = hyper_.gate == Gate::kGelu ? k_.gelu_mul : k_.silu_mul;
  for_tokens(n, [&](int64_t t) { mul(gate + t * width, up + t * width, width, gate + t * width); });
}

// One query or key head: normed where the architecture does so, then turned to its position.
void Forward::shape_head(const Tensor* norm_weight, const Rope& rope, const float* angles,
                         float* head) {
  if (norm_weight)
    k_.rms_norm(head, floats(norm_weight), hyper_.norm_epsilon, hyper_.key_dim, head);
  rope.turn(angles, head);
}

void Forward::rotate_heads(float* heads, uint32_t n_heads, uint32_t head_dim) {
  for (uint32_t h = 0; h < n_heads; ++h) k_.rotate(heads + h * head_dim, head_dim);
}

MatrixView Forward::view(const Tensor& tensor) const {
  if (hooks_.replacement)
    if (const MatrixView* other = hooks_.replacement(tensor)) return *other;
  return {tensor.type, weights_.data(tensor), static_cast<int64_t>(tensor.rows()),
          static_cast<int64_t>(tensor.columns()), tensor.row_bytes()};
}

const float* Forward::floats(const Tensor* tensor) const {
  return tensor ? reinterpret_cast<const float*>(weights_.data(*tensor)) : nullptr;
}

template <class Body>
void Forward::for_tokens(int64_t n, const Body& body) {
  team_.parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) body(t);
  });
}

}  // namespace enxuto
