// One layer of a frozen decoder in f32, there and back, for a text from its first token on: the
// recipe of infer/forward.h, by kernels that do not round activations, and its gradient.
//
// The way back computes the layer again from its input: nothing else of the way there is kept.
#pragma once

#include <functional>

#include "infer/rope.h"
#include "infer/session.h"
#include "kernels/dense_attention.h"
#include "kernels/weight_products.h"
#include "plan/gradient_layout.h"

namespace enxuto {

// The gradient by what a linear layer gives, before a bias: (n_tokens, n_rows), of its next n_rows
// rows. All at once but for the head, which comes in blocks.
using SeeGradient =
    std::function<void(const Tensor& w, const float* dy, int64_t n_rows, int64_t n_tokens)>;

class LayerGradient {
 public:
  // memory: layout.bytes of it; starts on a cache line.
  LayerGradient(Session& session, const Dense& dense, const GradientLayout& layout,
                uint8_t* memory);

  // The session holds the layer. x, y: (n_tokens, width); y may be x.
  void forward(uint32_t layer, int64_t n_tokens, const float* x, float* y);
  // dy, the gradient by what forward gives, becomes that by x.
  void backward(uint32_t layer, int64_t n_tokens, const float* x, float* dy,
                const SeeGradient& see);

 private:
  void there(uint32_t layer, int64_t n, const float* x, float* y);
  void attend(uint32_t layer, int64_t n, const float* x);
  void attention_back(uint32_t layer, int64_t n, const float* x, float* dy, const SeeGradient& see);
  void feed_forward_back(uint32_t layer, int64_t n, float* dy, const SeeGradient& see);
  void linear(const Tensor* w, const Tensor* bias, const float* x, int64_t n, float* y);
  void linear_back(const Tensor* w, const float* dy, int64_t n, float beta, float* dx,
                   const SeeGradient& see);
  void norm(const float* x, const Tensor* weight, int64_t n, float* y);
  void add_branch(const float* x, const float* branch, const Tensor* post_norm, int64_t n,
                  float* y);
  const float* into_branch(const float* dy, const float* branch, const Tensor* post_norm,
                           int64_t n);
  void add_norm_gradient(const float* x, const Tensor* weight, int64_t n, float* dnormed,
                         float* dy);
  // Heads of queries or keys: `raw` keeps them as they were before their norm.
  struct Heads {
    const float* norm;  // its weights, or null
    int64_t n_heads;
    float *raw, *heads;
  };
  void shape_heads(const Heads& of, uint32_t layer, int64_t n);
  void shape_heads_back(const Heads& of, uint32_t layer, int64_t n);  // heads: gradients
  template <class Body>
  void for_heads(const Heads& of, uint32_t layer, int64_t n, const Body& body);
  AttentionShape shape(uint32_t layer, int64_t n) const;
  const float* floats(const Tensor* tensor) const;
  template <class Body>
  void for_tokens(int64_t n, const Body& body);  // body(token)

  Session& session_;
  const HyperParameters& hyper_;
  const KernelTable& k_;
  Rope rope_, sliding_rope_;
  WeightProducts products_;
  DenseAttention attention_;
  struct {
    float *angles, *sliding_angles, *normed, *q, *k, *v, *attended, *log_sums, *raw_q, *raw_k;
    float *projected, *middle, *fed, *branch, *gate, *up, *act, *dq, *dk, *dv, *dattended;
  } at_;  // as the layout has them
};

}  // namespace enxuto
