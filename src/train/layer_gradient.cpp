#include "train/layer_gradient.h"

#include <algorithm>

#include "kernels/gradients.h"

namespace enxuto {
namespace {

float* floats_at(uint8_t* memory, uint64_t offset) {
  return reinterpret_cast<float*>(memory + offset);
}

}  // namespace

LayerGradient::LayerGradient(Session& session, const Dense& dense, const GradientLayout& layout,
                             uint8_t* memory)
    : session_(session),
      hyper_(session.model().hyper),
      k_(kernels()),
      rope_(hyper_, false, floats(session.model().rope_factors)),
      sliding_rope_(hyper_, true, nullptr),
      products_(dense, session.team(), floats_at(memory, layout.products)),
      attention_(dense, session.team(), floats_at(memory, layout.attention)) {
  const auto at = [memory](uint64_t offset) { return floats_at(memory, offset); };
  const GradientLayout& l = layout;
  at_ = {at(l.angles),    at(l.sliding_angles),
         at(l.normed),    at(l.q),
         at(l.k),         at(l.v),
         at(l.attended),  at(l.log_sums),
         at(l.raw_q),     at(l.raw_k),
         at(l.projected), at(l.middle),
         at(l.fed),       at(l.branch),
         at(l.gate),      at(l.up),
         at(l.act),       at(l.dq),
         at(l.dk),        at(l.dv),
         at(l.dattended)};
  rope_.fill(0, l.n_tokens, at_.angles);
  if (hyper_.sliding_window) sliding_rope_.fill(0, l.n_tokens, at_.sliding_angles);
}

void LayerGradient::forward(uint32_t layer, int64_t n_tokens, const float* x, float* y) {
  there(layer, n_tokens, x, y);
}

void LayerGradient::backward(uint32_t layer, int64_t n_tokens, const float* x, float* dy,
                             const SeeGradient& see) {
  there(layer, n_tokens, x, nullptr);
  feed_forward_back(layer, n_tokens, dy, see);
  if (hyper_.attends(layer)) attention_back(layer, n_tokens, x, dy, see);
}

// middle = x + attention(norm(x))
void LayerGradient::attend(uint32_t layer, int64_t n, const float* x) {
  const LayerWeights& w = session_.model().layers[layer];
  const LayerWidths widths = hyper_.widths(layer);
  norm(x, w.attn_norm, n, at_.normed);
  linear(w.q, w.q_bias, at_.normed, n, at_.q);
  linear(w.k, w.k_bias, at_.normed, n, at_.k);
  linear(w.v, w.v_bias, at_.normed, n, at_.v);
  shape_heads({floats(w.q_norm), widths.n_heads, at_.raw_q, at_.q}, layer, n);
  shape_heads({floats(w.k_norm), widths.n_kv_heads, at_.raw_k, at_.k}, layer, n);
  attention_.forward(shape(layer, n), {at_.q, at_.k, at_.v}, {at_.attended, at_.log_sums});
  linear(w.attn_output, nullptr, at_.attended, n, at_.projected);
  add_branch(x, at_.projected, w.post_attn_norm, n, at_.middle);
}

// y: null on the way to a gradient, which does not ask for it.
void LayerGradient::there(uint32_t layer, int64_t n, const float* x, float* y) {
  const LayerWeights& w = session_.model().layers[layer];
  if (hyper_.attends(layer))
    attend(layer, n, x);
  else
    std::copy_n(x, n * hyper_.width, at_.middle);
  norm(at_.middle, w.ffn_norm, n, at_.normed);
  linear(w.gate, nullptr, at_.normed, n, at_.gate);
  linear(w.up, nullptr, at_.normed, n, at_.up);
  if (!y && !w.post_ffn_norm) return;
  const auto mul = hyper_.gate == Gate::kGelu ? k_.gelu_mul : k_.silu_mul;
  const int64_t width = hyper_.widths(layer).ffn_width;
  for_tokens(n, [&](int64_t t) {
    mul(at_.gate + t * width, at_.up + t * width, width, at_.act + t * width);
  });
  linear(w.down, nullptr, at_.act, n, at_.fed);
  if (y) add_branch(at_.middle, at_.fed, w.post_ffn_norm, n, y);
}

void LayerGradient::feed_forward_back(uint32_t layer, int64_t n, float* dy,
                                      const SeeGradient& see) {
  const LayerWeights& w = session_.model().layers[layer];
  const float* dfed = into_branch(dy, at_.fed, w.post_ffn_norm, n);
  linear_back(w.down, dfed, n, 0, at_.act, see);
  const auto back = hyper_.gate == Gate::kGelu ? gelu_mul_gradient : silu_mul_gradient;
  const int64_t width = hyper_.widths(layer).ffn_width;
  for_tokens(n, [&](int64_t t) {
    back(at_.gate + t * width, at_.up + t * width, at_.act + t * width, width);
  });
  linear_back(w.gate, at_.gate, n, 0, at_.normed, see);
  linear_back(w.up, at_.up, n, 1, at_.normed, see);
  add_norm_gradient(at_.middle, w.ffn_norm, n, at_.normed, dy);
}

void LayerGradient::attention_back(uint32_t layer, int64_t n, const float* x, float* dy,
                                   const SeeGradient& see) {
  const LayerWeights& w = session_.model().layers[layer];
  const LayerWidths widths = hyper_.widths(layer);
  const float* dprojected = into_branch(dy, at_.projected, w.post_attn_norm, n);
  linear_back(w.attn_output, dprojected, n, 0, at_.dattended, see);
  attention_.backward(shape(layer, n), {at_.q, at_.k, at_.v}, {at_.attended, at_.log_sums},
                      at_.dattended, {at_.dq, at_.dk, at_.dv});
  shape_heads_back({floats(w.q_norm), widths.n_heads, at_.raw_q, at_.dq}, layer, n);
  shape_heads_back({floats(w.k_norm), widths.n_kv_heads, at_.raw_k, at_.dk}, layer, n);
  linear_back(w.q, at_.dq, n, 0, at_.normed, see);
  linear_back(w.k, at_.dk, n, 1, at_.normed, see);
  linear_back(w.v, at_.dv, n, 1, at_.normed, see);
  add_norm_gradient(x, w.attn_norm, n, at_.normed, dy);
}

void LayerGradient::linear(const Tensor* w, const Tensor* bias, const float* x, int64_t n,
                           float* y) {
  products_.forward(session_.weight_rows(*w), x, n, floats(bias), y);
}

void LayerGradient::linear_back(const Tensor* w, const float* dy, int64_t n, float beta, float* dx,
                                const SeeGradient& see) {
  const WeightRows rows = session_.weight_rows(*w);
  see(*w, dy, rows.rows, n);
  products_.backward(rows, dy, n, beta, dx);
}

void LayerGradient::norm(const float* x, const Tensor* weight, int64_t n, float* y) {
  const int64_t width = hyper_.width;
  const float* weights = floats(weight);
  for_tokens(n, [&](int64_t t) {
    k_.rms_norm(x + t * width, weights, hyper_.norm_epsilon, width, y + t * width);
  });
}

// y = x + branch, normed where the architecture norms what a branch adds.
void LayerGradient::add_branch(const float* x, const float* branch, const Tensor* post_norm,
                               int64_t n, float* y) {
  const int64_t width = hyper_.width;
  if (post_norm) {
    norm(branch, post_norm, n, at_.branch);
    branch = at_.branch;
  }
  for_tokens(n, [&](int64_t t) {
    if (y != x) std::copy_n(x + t * width, width, y + t * width);
    k_.add(branch + t * width, width, y + t * width);
  });
}

// The gradient by what a branch's last linear layer gives, from that by the sum it was added to.
const float* LayerGradient::into_branch(const float* dy, const float* branch,
                                        const Tensor* post_norm, int64_t n) {
  if (!post_norm) return dy;
  const int64_t width = hyper_.width;
  const float* weights = floats(post_norm);
  for_tokens(n, [&](int64_t t) {
    rms_norm_gradient(branch + t * width, weights, hyper_.norm_epsilon, width, dy + t * width,
                      at_.branch + t * width);
  });
  return at_.branch;
}

// dy += the gradient by x, from dnormed, that by x's norm; dnormed is used up.
void LayerGradient::add_norm_gradient(const float* x, const Tensor* weight, int64_t n,
                                      float* dnormed, float* dy) {
  const int64_t width = hyper_.width;
  const float* weights = floats(weight);
  for_tokens(n, [&](int64_t t) {
    float* row = dnormed + t * width;
    rms_norm_gradient(x + t * width, weights, hyper_.norm_epsilon, width, row, row);
    k_.add(row, width, dy + t * width);
  });
}

// body(rope, angles, offset of the head)
template <class Body>
void LayerGradient::for_heads(const Heads& of, uint32_t layer, int64_t n, const Body& body) {
  const bool slides = hyper_.slides(layer);
  const Rope& rope = slides ? sliding_rope_ : rope_;
  const float* angles = slides ? at_.sliding_angles : at_.angles;
  for_tokens(n, [&](int64_t t) {
    for (int64_t h = t * of.n_heads; h < (t + 1) * of.n_heads; ++h)
      body(rope, angles + t * rope.dims(), h * hyper_.key_dim);
  });
}

void LayerGradient::shape_heads(const Heads& of, uint32_t layer, int64_t n) {
  for_heads(of, layer, n, [&](const Rope& rope, const float* angles, int64_t at) {
    float* head = of.heads + at;
    if (of.norm) {
      std::copy_n(head, hyper_.key_dim, of.raw + at);
      k_.rms_norm(head, of.norm, hyper_.norm_epsilon, hyper_.key_dim, head);
    }
    rope.turn(angles, head);
  });
}

void LayerGradient::shape_heads_back(const Heads& of, uint32_t layer, int64_t n) {
  for_heads(of, layer, n, [&](const Rope& rope, const float* angles, int64_t at) {
    float* gradient = of.heads + at;
    rope.turn_back(angles, gradient);
    if (of.norm)
      rms_norm_gradient(of.raw + at, of.norm, hyper_.norm_epsilon, hyper_.key_dim, gradient,
                        gradient);
  });
}

AttentionShape LayerGradient::shape(uint32_t layer, int64_t n) const {
  const LayerWidths widths = hyper_.widths(layer);
  return {n,
          widths.n_heads,
          widths.n_kv_heads,
          hyper_.key_dim,
          hyper_.attention_scale,
          hyper_.slides(layer) ? int64_t{hyper_.sliding_window} : 0};
}

const float* LayerGradient::floats(const Tensor* tensor) const {
  if (!tensor) return nullptr;
  return reinterpret_cast<const float*>(session_.weight_rows(*tensor).pieces[0].data);
}

template <class Body>
void LayerGradient::for_tokens(int64_t n, const Body& body) {
  session_.team().parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) body(t);
  });
}

}  // namespace enxuto
