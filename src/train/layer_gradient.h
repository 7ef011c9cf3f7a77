// One layer of a decoder in f32, there and back, for texts from their first token on: the recipe of
// infer/forward.h, by kernels that do not round activations, and its gradient.
//
// The way back computes the layer again from its input: nothing else of the way there is kept.
#pragma once

#include <functional>

#include "infer/rope.h"
#include "infer/session.h"
#include "kernels/dense_attention.h"
#include "kernels/weight_products.h"
#include "plan/gradient_layout.h"
#include "train/norm_gradient.h"

namespace enxuto {

// A linear layer y = x w' + bias on the way back: x (n_tokens, w.columns()), and the gradient by y,
// (n_tokens, n_rows), of its next n_rows rows: all of them but for the head, which comes in blocks,
// and for experts, which come one by one with the tokens that meet them.
struct LinearGradient {
  const Tensor& w;
  const Tensor* bias;  // or null
  const float *x, *dy;
  int64_t n_rows, n_tokens;
  int64_t first_row = 0;  // of an expert's
};
// What an adapter adds to a linear layer, y += low b', on the way back: low = scale x a', and the
// gradients by y and by x a'.
struct LowRankGradient {
  const Tensor& w;
  const float *x, *low, *dy, *dlow;  // (n_tokens, …): w.columns(), rank, w.rows(), rank
  int64_t rank, n_tokens;
};
// What a way back tells of the weights that it meets; any may be empty.
struct SeeGradient {
  std::function<void(const LinearGradient&)> linear = {};
  std::function<void(const NormGradient&)> norm = {};
  std::function<void(const LowRankGradient&)> low_rank = {};
};

// Texts of the same length, one after the other, which do not see each other.
struct TextRows {
  int64_t n_texts, n_tokens;  // of each
  int64_t rows() const { return n_texts * n_tokens; }
};

class LayerGradient {
 public:
  // memory: layout.bytes of it; starts on a cache line.
  LayerGradient(Session& session, const Dense& dense, const GradientLayout& layout,
                uint8_t* memory);

  // What the way back adds to the gradient of a mixture's routers, for each text: so many times
  // that of add_balance_gradient.
  void balance_experts(float scale) { balance_ = scale; }

  // The session holds the layer. x, y: (texts.rows(), width); y may be x. kept: where what is
  // computed stays for the way back, layout.kept_bytes(); null: it does not.
  void forward(uint32_t layer, const TextRows& texts, const float* x, float* y,
               uint8_t* kept = nullptr);
  // dy, the gradient by what forward gives, becomes that by x. kept: as forward left it, used up;
  // null: the layer is computed again.
  void backward(uint32_t layer, const TextRows& texts, const float* x, float* dy,
                const SeeGradient& see, uint8_t* kept = nullptr);

 private:
  void place(uint8_t* kept);
  void there(uint32_t layer, const TextRows& texts, const float* x, float* y);
  void attend(uint32_t layer, const TextRows& texts, const float* x);
  void project(uint32_t layer, int64_t n);
  void project_back(uint32_t layer, int64_t n, const SeeGradient& see);
  void activate(bool gated, int64_t width, int64_t n);
  void activate_back(bool gated, int64_t width, int64_t n, float* dact);
  void attention_back(uint32_t layer, const TextRows& texts, const float* x, float* dy,
                      const SeeGradient& see);
  void feed_forward_back(uint32_t layer, const TextRows& texts, float* dy, const SeeGradient& see);
  void mixture(const LayerWeights& w, int64_t n);
  void mixture_back(const LayerWeights& w, const TextRows& texts, const float* dfed,
                    const SeeGradient& see);
  void route(const LayerWeights& w, int64_t n);
  void route_back(const TextRows& texts);
  int64_t find_met(int64_t expert, int64_t n);
  void take_met(const float* rows, int64_t n_met, float* to);
  void add_met(const float* rows, int64_t n_met, float* to);
  void weigh_met(int64_t expert, int64_t n_met, float* rows);
  void expert_back(const LayerWeights& w, int64_t expert, int64_t n_met, const float* dfed,
                   const SeeGradient& see);
  void meet_all(const LayerWeights& w, int64_t n);
  void meet_all_back(const LayerWeights& w, int64_t n, const float* dfed, const SeeGradient& see);
  WeightRows rows_of(const Tensor& w, int64_t expert) const;
  void linear(const Tensor* w, const Tensor* bias, const float* x, int64_t n, float* y,
              int64_t expert = -1);
  // The linear layers of one input x; dx, the gradient by it, may be x.
  struct Output {
    const Tensor *w, *bias;
    const float* dy;
    int64_t expert = -1;
  };
  void linear_back(std::initializer_list<Output> outputs, const float* x, int64_t n, float* dx,
                   const SeeGradient& see);
  void low_rank_back(const Output& output, const LowRankMatrix& low_rank, const float* x, int64_t n,
                     float* dlow, const SeeGradient& see);
  void norm(const float* x, const Tensor* weight, const Tensor* bias, int64_t n, float* y);
  void add_branch(const float* x, const float* branch, const Tensor* post_norm, int64_t n,
                  float* y);
  const float* into_branch(const float* dy, const float* branch, const Tensor* post_norm, int64_t n,
                           const SeeGradient& see);
  void norm_back(const float* x, const Tensor* weight, const Tensor* bias, int64_t n,
                 float* dnormed, float* dy, const SeeGradient& see);
  // Heads of queries or keys: `raw` keeps them as they were before their norm.
  struct Heads {
    const Tensor* norm;  // or null
    int64_t n_heads;
    float *raw, *heads;
  };
  void shape_heads(const Heads& of, uint32_t layer, const TextRows& texts);
  // heads: gradients
  void shape_heads_back(const Heads& of, uint32_t layer, const TextRows& texts,
                        const SeeGradient& see);
  template <class Body>
  void for_heads(const Heads& of, uint32_t layer, const TextRows& texts, const Body& body);
  template <class Body>
  void for_texts(uint32_t layer, const TextRows& texts, const Body& body);
  const float* floats(const Tensor* tensor) const;
  template <class Body>
  void for_tokens(int64_t n, const Body& body) {  // body(token)
    session_.team().parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) body(t);
    });
  }

  Session& session_;
  const HyperParameters& hyper_;
  const KernelTable& k_;
  GradientLayout layout_;
  uint8_t* memory_;
  Rope rope_, sliding_rope_;
  WeightProducts products_;
  DenseAttention attention_;
  struct {
    float *angles, *sliding_angles, *normed, *q, *k, *v, *qkv, *attended, *log_sums, *raw_q, *raw_k;
    float *projected, *middle, *fed, *branch, *gate, *up, *act, *dq, *dk, *dv, *dattended;
    float *low, *dlow;
    float *probabilities, *shares, *dshares, *shared_share, *gathered, *dgathered, *dact;
  } at_;  // as the layout has them, or in what is kept
  uint32_t* met_;
  float balance_ = 0;
};

}  // namespace enxuto
