// The half of a layer that looks at other tokens.
#include <algorithm>

#include "infer/forward.h"

namespace enxuto {
namespace {

// Multiplications worth a hand-over to another thread; less is done where it is.
constexpr int64_t kWorthSharing = 32768;
// Queries of one piece of attention.
constexpr int64_t kQueries = 32;

}  // namespace

// x += attention(norm(x)): (n, width), in place.
Status Forward::attention(uint32_t l, uint32_t position, int64_t n, float* x) {
  const LayerWeights& w = model_.layers[l];
  const LayerWidths widths = hyper_.widths(l);
  const Rope& rope = hyper_.slides(l) ? sliding_rope_ : rope_;
  const float* angles = hyper_.slides(l) ? sliding_angles_ : angles_;
  float *normed = wide_, *attended = wide_;
  const Projections at = place_projections(l, n);
  float* projected = projections_;

  norm(x, w.attn_norm, w.attn_norm_bias, n, normed);
  TRY(project(w, normed, n, at));
  cache_.make_room(l, position, n);
  for_tokens(n, [&](int64_t t) {
    float *q_t = at.q + t * at.q_stride, *k_t = at.k + t * at.k_stride;
    for (uint32_t h = 0; h < widths.n_heads; ++h)
      shape_head(w.q_norm, rope, angles + t * rope.dims(), q_t + h * hyper_.key_dim);
    if (cache_.rotates_keys(l)) rotate_heads(q_t, widths.n_heads, hyper_.key_dim);
    for (uint32_t h = 0; h < widths.n_kv_heads; ++h)
      shape_head(w.k_norm, rope, angles + t * rope.dims(), k_t + h * hyper_.key_dim);
    cache_.store(k_, l, position + static_cast<uint32_t>(t), k_t, at.v + t * at.v_stride);
  });
  attend(l, position, n, at, attended);
  TRY(linear(Operator::kAttentionOutput, attended, n,
             {{w.attn_output, w.attn_output_bias, projected}}));
  add_normed(projected, w.post_attn_norm, n, x);
  return {};
}

Forward::Projections Forward::place_projections(uint32_t l, int64_t n) const {
  const LayerWidths widths = hyper_.widths(l);
  const int64_t q = int64_t{widths.n_heads} * hyper_.key_dim,
                k = int64_t{widths.n_kv_heads} * hyper_.key_dim,
                v = int64_t{widths.n_kv_heads} * hyper_.value_dim;
  float* first = projections_;
  if (!model_.layers[l].qkv) return {first, first + n * q, first + n * (q + k), q, k, v};
  return {first, first + q, first + q + k, q + k + v, q + k + v, q + k + v};
}

Status Forward::project(const LayerWeights& w, const float* normed, int64_t n,
                        const Projections& to) {
  if (w.qkv) return linear(Operator::kQkv, normed, n, {{w.qkv, w.qkv_bias, to.q}});
  return linear(Operator::kQkv, normed, n,
                {{w.q, w.q_bias, to.q}, {w.k, w.k_bias, to.k}, {w.v, w.v_bias, to.v}});
}

// out (n, n_heads, value_dim) = causal attention of the queries, (n_heads, key_dim) of each token,
// over the cache, in pieces of a few neighbouring tokens times the heads that share keys and
// values.
void Forward::attend(uint32_t l, uint32_t position, int64_t n, const Projections& from,
                     float* out) {
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
      for (int64_t h = head; h < head + heads; ++h)
        queries[n_queries++] = {from.q + t * from.q_stride + h * hyper_.key_dim,
                                out + (t * n_heads + h) * hyper_.value_dim,
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

}  // namespace enxuto
