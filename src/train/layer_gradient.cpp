#include "train/layer_gradient.h"

#include <algorithm>

namespace enxuto {
namespace {

float* floats_at(uint8_t* memory, uint64_t offset) {
  return reinterpret_cast<float*>(memory + offset);
}

// Of a token, where one matrix gives them.
struct SideBySide {
  SideBySide(const HyperParameters& hyper, const LayerWidths& widths)
      : q(int64_t{widths.n_heads} * hyper.key_dim),
        k(int64_t{widths.n_kv_heads} * hyper.key_dim),
        v(int64_t{widths.n_kv_heads} * hyper.value_dim) {}
  int64_t all() const { return q + k + v; }
  const int64_t q, k, v;
};

}  // namespace

LayerGradient::LayerGradient(Session& session, const Dense& dense, const GradientLayout& layout,
                             uint8_t* memory)
    : session_(session),
      hyper_(session.model().hyper),
      k_(kernels()),
      layout_(layout),
      memory_(memory),
      rope_(hyper_, false, floats(session.model().rope_factors)),
      sliding_rope_(hyper_, true, nullptr),
      products_(dense, session.team(), floats_at(memory, layout.products),
                layout.rounded_in(memory)),
      attention_(dense, session.team(), floats_at(memory, layout.attention)) {
  place(nullptr);
  rope_.fill(0, layout.n_tokens, at_.angles);
  if (hyper_.sliding_window) sliding_rope_.fill(0, layout.n_tokens, at_.sliding_angles);
}

void LayerGradient::place(uint8_t* kept) {
  const GradientLayout& l = layout_;
  const auto at = [&](uint64_t offset) { return floats_at(memory_, offset); };
  const auto early = [&](uint64_t offset) {
    return kept && offset < l.kept_end ? floats_at(kept, offset - l.q) : at(offset);
  };
  const auto late = [&](uint64_t offset) {
    return kept && l.kept_gates ? floats_at(kept, l.kept_end - l.q + (offset - l.gate))
                                : at(offset);
  };
  at_ = {at(l.angles),
         at(l.sliding_angles),
         at(l.normed),
         early(l.q),
         early(l.k),
         early(l.v),
         at(l.qkv),
         early(l.attended),
         early(l.log_sums),
         early(l.raw_q),
         early(l.raw_k),
         early(l.projected),
         early(l.middle),
         early(l.fed),
         at(l.branch),
         late(l.gate),
         late(l.up),
         at(l.act),
         at(l.dq),
         at(l.dk),
         at(l.dv),
         at(l.dattended),
         at(l.low),
         at(l.dlow),
         at(l.probabilities),
         at(l.shares),
         at(l.dshares),
         at(l.shared_share),
         at(l.gathered),
         at(l.dgathered),
         at(l.dact)};
  met_ = reinterpret_cast<uint32_t*>(memory_ + l.met);
}

void LayerGradient::forward(uint32_t layer, const TextRows& texts, const float* x, float* y,
                            uint8_t* kept) {
  place(kept);
  there(layer, texts, x, y);
}

void LayerGradient::backward(uint32_t layer, const TextRows& texts, const float* x, float* dy,
                             const SeeGradient& see, uint8_t* kept) {
  place(kept);
  if (kept) {
    const LayerWeights& w = session_.model().layers[layer];
    norm(at_.middle, w.ffn_norm, w.ffn_norm_bias, texts.rows(), at_.normed);
    if (!w.router) activate(w.gate, hyper_.widths(layer).ffn_width, texts.rows());
  } else {
    there(layer, texts, x, nullptr);
  }
  feed_forward_back(layer, texts, dy, see);
  if (hyper_.attends(layer)) attention_back(layer, texts, x, dy, see);
}

// middle = x + attention(norm(x))
void LayerGradient::attend(uint32_t layer, const TextRows& texts, const float* x) {
  const LayerWeights& w = session_.model().layers[layer];
  const LayerWidths widths = hyper_.widths(layer);
  const int64_t n = texts.rows();
  norm(x, w.attn_norm, w.attn_norm_bias, n, at_.normed);
  project(layer, n);
  shape_heads({w.q_norm, widths.n_heads, at_.raw_q, at_.q}, layer, texts);
  shape_heads({w.k_norm, widths.n_kv_heads, at_.raw_k, at_.k}, layer, texts);
  for_texts(layer, texts,
            [&](const AttentionShape& shape, int64_t wide, int64_t narrow, int64_t sums) {
              attention_.forward(shape, {at_.q + wide, at_.k + narrow, at_.v + narrow},
                                 {at_.attended + wide, at_.log_sums + sums});
            });
  linear(w.attn_output, w.attn_output_bias, at_.attended, n, at_.projected);
  add_branch(x, at_.projected, w.post_attn_norm, n, at_.middle);
}

// q, k and v of the normed input.
void LayerGradient::project(uint32_t layer, int64_t n) {
  const LayerWeights& w = session_.model().layers[layer];
  if (!w.qkv) {
    linear(w.q, w.q_bias, at_.normed, n, at_.q);
    linear(w.k, w.k_bias, at_.normed, n, at_.k);
    return linear(w.v, w.v_bias, at_.normed, n, at_.v);
  }
  linear(w.qkv, w.qkv_bias, at_.normed, n, at_.qkv);
  const SideBySide rows(hyper_, hyper_.widths(layer));
  for_tokens(n, [&](int64_t t) {
    const float* from = at_.qkv + t * rows.all();
    std::copy_n(from, rows.q, at_.q + t * rows.q);
    std::copy_n(from + rows.q, rows.k, at_.k + t * rows.k);
    std::copy_n(from + rows.q + rows.k, rows.v, at_.v + t * rows.v);
  });
}

// The normed input becomes its gradient.
void LayerGradient::project_back(uint32_t layer, int64_t n, const SeeGradient& see) {
  const LayerWeights& w = session_.model().layers[layer];
  if (!w.qkv)
    return linear_back({{w.q, w.q_bias, at_.dq}, {w.k, w.k_bias, at_.dk}, {w.v, w.v_bias, at_.dv}},
                       at_.normed, n, at_.normed, see);
  const SideBySide rows(hyper_, hyper_.widths(layer));
  for_tokens(n, [&](int64_t t) {
    float* to = at_.qkv + t * rows.all();
    std::copy_n(at_.dq + t * rows.q, rows.q, to);
    std::copy_n(at_.dk + t * rows.k, rows.k, to + rows.q);
    std::copy_n(at_.dv + t * rows.v, rows.v, to + rows.q + rows.k);
  });
  linear_back({{w.qkv, w.qkv_bias, at_.qkv}}, at_.normed, n, at_.normed, see);
}

// y: null on the way to a gradient, which does not ask for it.
void LayerGradient::there(uint32_t layer, const TextRows& texts, const float* x, float* y) {
  const LayerWeights& w = session_.model().layers[layer];
  const int64_t n = texts.rows();
  if (hyper_.attends(layer))
    attend(layer, texts, x);
  else
    std::copy_n(x, n * hyper_.width, at_.middle);
  norm(at_.middle, w.ffn_norm, w.ffn_norm_bias, n, at_.normed);
  const bool feeds = y || w.post_ffn_norm;
  if (w.router) {
    if (feeds) mixture(w, n);
  } else {
    if (w.gate) linear(w.gate, nullptr, at_.normed, n, at_.gate);
    linear(w.up, w.up_bias, at_.normed, n, at_.up);
    activate(w.gate, hyper_.widths(layer).ffn_width, n);
    if (feeds) linear(w.down, w.down_bias, at_.act, n, at_.fed);
  }
  if (y) add_branch(at_.middle, at_.fed, w.post_ffn_norm, n, y);
}

void LayerGradient::activate(bool gated, int64_t width, int64_t n) {
  const auto mul = hyper_.gate == Gate::kGelu ? k_.gelu_mul : k_.silu_mul;
  for_tokens(n, [&](int64_t t) {
    float *up = at_.up + t * width, *act = at_.act + t * width;
    gated ? mul(at_.gate + t * width, up, width, act) : k_.gelu(up, width, act);
  });
}

// gate and up become their gradients.
void LayerGradient::activate_back(bool gated, int64_t width, int64_t n, float* dact) {
  const auto back = hyper_.gate == Gate::kGelu ? k_.gelu_mul_gradient : k_.silu_mul_gradient;
  for_tokens(n, [&](int64_t t) {
    float *up = at_.up + t * width, *its = dact + t * width;
    gated ? back(at_.gate + t * width, up, its, width) : k_.gelu_gradient(up, its, width);
  });
}

void LayerGradient::feed_forward_back(uint32_t layer, const TextRows& texts, float* dy,
                                      const SeeGradient& see) {
  const int64_t n = texts.rows();
  const LayerWeights& w = session_.model().layers[layer];
  const float* dfed = into_branch(dy, at_.fed, w.post_ffn_norm, n, see);
  if (w.router) {
    mixture_back(w, texts, dfed, see);
  } else {
    linear_back({{w.down, w.down_bias, dfed}}, at_.act, n, at_.act, see);
    activate_back(w.gate, hyper_.widths(layer).ffn_width, n, at_.act);
    if (w.gate)
      linear_back({{w.gate, nullptr, at_.gate}, {w.up, w.up_bias, at_.up}}, at_.normed, n,
                  at_.normed, see);
    else
      linear_back({{w.up, w.up_bias, at_.up}}, at_.normed, n, at_.normed, see);
  }
  norm_back(at_.middle, w.ffn_norm, w.ffn_norm_bias, n, at_.normed, dy, see);
}

void LayerGradient::attention_back(uint32_t layer, const TextRows& texts, const float* x, float* dy,
                                   const SeeGradient& see) {
  const LayerWeights& w = session_.model().layers[layer];
  const LayerWidths widths = hyper_.widths(layer);
  const int64_t n = texts.rows();
  const float* dprojected = into_branch(dy, at_.projected, w.post_attn_norm, n, see);
  linear_back({{w.attn_output, w.attn_output_bias, dprojected}}, at_.attended, n, at_.dattended,
              see);
  for_texts(layer, texts,
            [&](const AttentionShape& shape, int64_t wide, int64_t narrow, int64_t sums) {
              attention_.backward(shape, {at_.q + wide, at_.k + narrow, at_.v + narrow},
                                  {at_.attended + wide, at_.log_sums + sums}, at_.dattended + wide,
                                  {at_.dq + wide, at_.dk + narrow, at_.dv + narrow});
            });
  shape_heads_back({w.q_norm, widths.n_heads, at_.raw_q, at_.dq}, layer, texts, see);
  shape_heads_back({w.k_norm, widths.n_kv_heads, at_.raw_k, at_.dk}, layer, texts, see);
  norm(x, w.attn_norm, w.attn_norm_bias, n, at_.normed);
  project_back(layer, n, see);
  norm_back(x, w.attn_norm, w.attn_norm_bias, n, at_.normed, dy, see);
}

// expert: of a mixture's; -1: all rows.
WeightRows LayerGradient::rows_of(const Tensor& w, int64_t expert) const {
  const WeightRows rows = session_.weight_rows(w);
  const auto its = static_cast<int64_t>(w.shape[1]);
  return expert < 0 ? rows : rows.part(expert * its, its);
}

void LayerGradient::linear(const Tensor* w, const Tensor* bias, const float* x, int64_t n, float* y,
                           int64_t expert) {
  products_.forward(rows_of(*w, expert), x, n, floats(bias), y);
  if (const LowRankMatrix* low_rank = session_.low_rank(*w)) {
    low_rank->down(k_, session_.team(), x, n, at_.low);
    low_rank->up(k_, session_.team(), at_.low, n, y);
  }
}

void LayerGradient::linear_back(std::initializer_list<Output> outputs, const float* x, int64_t n,
                                float* dx, const SeeGradient& see) {
  if (see.linear)
    for (const Output& output : outputs) {
      const int64_t rows = rows_of(*output.w, output.expert).rows;
      see.linear({*output.w, output.bias, x, output.dy, rows, n,
                  std::max<int64_t>(0, output.expert) * rows});
    }
  float* dlow = at_.dlow;
  for (const Output& output : outputs)
    if (const LowRankMatrix* low_rank = session_.low_rank(*output.w)) {
      low_rank_back(output, *low_rank, x, n, dlow, see);
      dlow += n * low_rank->rank;
    }
  float beta = 0;
  for (const Output& output : outputs) {
    products_.backward(rows_of(*output.w, output.expert), output.dy, n, beta, dx);
    beta = 1;
  }
  dlow = at_.dlow;
  for (const Output& output : outputs)
    if (const LowRankMatrix* low_rank = session_.low_rank(*output.w)) {
      low_rank->down_back(k_, session_.team(), dlow, n, dx);
      dlow += n * low_rank->rank;
    }
}

void LayerGradient::low_rank_back(const Output& output, const LowRankMatrix& low_rank,
                                  const float* x, int64_t n, float* dlow, const SeeGradient& see) {
  low_rank.up_back(k_, session_.team(), output.dy, n, dlow);
  if (!see.low_rank) return;
  low_rank.down(k_, session_.team(), x, n, at_.low);
  see.low_rank({*output.w, x, at_.low, output.dy, dlow, low_rank.rank, n});
}

void LayerGradient::norm(const float* x, const Tensor* weight, const Tensor* bias, int64_t n,
                         float* y) {
  const int64_t width = hyper_.width;
  const float *weights = floats(weight), *biases = floats(bias);
  const float epsilon = hyper_.norm_epsilon;
  for_tokens(n, [&](int64_t t) {
    const float* from = x + t * width;
    float* to = y + t * width;
    hyper_.norm == Norm::kRms ? k_.rms_norm(from, weights, epsilon, width, to)
                              : k_.layer_norm(from, weights, biases, epsilon, width, to);
  });
}

// y = x + branch, normed where the architecture norms what a branch adds.
void LayerGradient::add_branch(const float* x, const float* branch, const Tensor* post_norm,
                               int64_t n, float* y) {
  const int64_t width = hyper_.width;
  if (post_norm) {
    norm(branch, post_norm, nullptr, n, at_.branch);
    branch = at_.branch;
  }
  for_tokens(n, [&](int64_t t) {
    if (y != x) std::copy_n(x + t * width, width, y + t * width);
    k_.add(branch + t * width, width, y + t * width);
  });
}

// The gradient by what a branch's last linear layer gives, from that by the sum it was added to.
const float* LayerGradient::into_branch(const float* dy, const float* branch,
                                        const Tensor* post_norm, int64_t n,
                                        const SeeGradient& see) {
  if (!post_norm) return dy;
  if (see.norm) see.norm({*post_norm, nullptr, branch, dy, n});
  const int64_t width = hyper_.width;
  const float* weights = floats(post_norm);
  for_tokens(n, [&](int64_t t) {
    norm_gradient(hyper_, branch + t * width, weights, dy + t * width, at_.branch + t * width);
  });
  return at_.branch;
}

// dy += the gradient by x, from dnormed, that by x's norm; dnormed is used up.
void LayerGradient::norm_back(const float* x, const Tensor* weight, const Tensor* bias, int64_t n,
                              float* dnormed, float* dy, const SeeGradient& see) {
  if (see.norm) see.norm({*weight, bias, x, dnormed, n});
  const int64_t width = hyper_.width;
  const float* weights = floats(weight);
  for_tokens(n, [&](int64_t t) {
    float* row = dnormed + t * width;
    norm_gradient(hyper_, x + t * width, weights, row, row);
    k_.add(row, width, dy + t * width);
  });
}

// body(rope, angles, offset of the head)
template <class Body>
void LayerGradient::for_heads(const Heads& of, uint32_t layer, const TextRows& texts,
                              const Body& body) {
  const bool slides = hyper_.slides(layer);
  const Rope& rope = slides ? sliding_rope_ : rope_;
  const float* angles = slides ? at_.sliding_angles : at_.angles;
  for_tokens(texts.rows(), [&](int64_t t) {
    for (int64_t h = t * of.n_heads; h < (t + 1) * of.n_heads; ++h)
      body(rope, angles + t % texts.n_tokens * rope.dims(), h * hyper_.key_dim);
  });
}

void LayerGradient::shape_heads(const Heads& of, uint32_t layer, const TextRows& texts) {
  const float* weights = floats(of.norm);
  for_heads(of, layer, texts, [&](const Rope& rope, const float* angles, int64_t at) {
    float* head = of.heads + at;
    if (weights) {
      std::copy_n(head, hyper_.key_dim, of.raw + at);
      k_.rms_norm(head, weights, hyper_.norm_epsilon, hyper_.key_dim, head);
    }
    rope.turn(angles, head);
  });
}

void LayerGradient::shape_heads_back(const Heads& of, uint32_t layer, const TextRows& texts,
                                     const SeeGradient& see) {
  for_heads(of, layer, texts, [&](const Rope& rope, const float* angles, int64_t at) {
    rope.turn_back(angles, of.heads + at);
  });
  if (!of.norm) return;
  if (see.norm) see.norm({*of.norm, nullptr, of.raw, of.heads, texts.rows() * of.n_heads});
  const float* weights = floats(of.norm);
  for_heads(of, layer, texts, [&](const Rope&, const float*, int64_t at) {
    float* gradient = of.heads + at;
    k_.rms_norm_gradient(of.raw + at, weights, hyper_.norm_epsilon, hyper_.key_dim, gradient,
                         gradient);
  });
}

// body(shape, where the text's queries begin, its keys and values, its log sums)
template <class Body>
void LayerGradient::for_texts(uint32_t layer, const TextRows& texts, const Body& body) {
  const LayerWidths widths = hyper_.widths(layer);
  const int64_t n = texts.n_tokens;
  const AttentionShape shape = {n,
                                widths.n_heads,
                                widths.n_kv_heads,
                                hyper_.key_dim,
                                hyper_.attention_scale,
                                hyper_.slides(layer) ? int64_t{hyper_.sliding_window} : 0};
  for (int64_t text = 0; text < texts.n_texts; ++text)
    body(shape, text * n * shape.n_heads * shape.head_dim,
         text * n * shape.n_kv_heads * shape.head_dim, text * n * shape.n_heads);
}

const float* LayerGradient::floats(const Tensor* tensor) const {
  if (!tensor) return nullptr;
  return reinterpret_cast<const float*>(session_.weight_rows(*tensor).pieces[0].data);
}

}  // namespace enxuto
