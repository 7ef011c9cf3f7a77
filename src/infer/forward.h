// The forward pass of a decoder, driven by the model's data: one recipe for every architecture in
// models/. Owns nothing: works in the pieces that the session's arena was cut into.
#pragma once

#include <initializer_list>
#include <span>

#include "infer/kv_cache.h"
#include "infer/low_rank_weights.h"
#include "infer/operator_times.h"
#include "infer/rope.h"
#include "infer/session.h"
#include "infer/weight_stream.h"
#include "kernels/matmul.h"
#include "models/model.h"

namespace enxuto {

struct Linear {
  const Tensor* w;
  const Tensor* bias;   // or null
  float* y;             // (n, w.rows)
  int64_t expert = -1;  // of a mixture: rows of this one alone
};

class Forward {
 public:
  Forward(const Model& model, const SessionLayout& layout, WeightStream& weights,
          const LowRankWeights& adapter, uint8_t* scratch, uint8_t* kv_memory);

  // They fail where streamed weights cannot be read.
  Status embed(std::span<const Token> tokens, float* x);
  void add_positions(const Tensor& table, uint32_t position, int64_t n, float* x);
  Status run_layers(uint32_t begin, uint32_t end, uint32_t position, int64_t n, float* x);
  Status head(const float* x, int64_t n, float* logits);
  void final_norm(const float* x, int64_t n, float* normed);
  void multiply(const MatrixView& w, const float* x, int64_t n, float* y);

  float* hidden() { return hidden_; }
  const KvCache& cache() const { return cache_; }
  ThreadTeam& team() { return team_; }
  void set_rounding(Rounding rounding) { rounding_ = rounding; }
  void set_input_scales(InputScales scales) { input_scales_ = scales; }
  void set_hooks(ForwardHooks hooks) { hooks_ = std::move(hooks); }
  void set_operator_times(OperatorTimes* times) { times_ = times; }

 private:
  Status attention(uint32_t l, uint32_t position, int64_t n, float* x);
  Status feed_forward(uint32_t l, int64_t n, float* x);
  Status mixture(uint32_t l, int64_t n, float* x);
  Status route(const LayerWeights& w, const float* normed, int64_t n);
  int64_t gather(uint32_t expert, const float* normed, int64_t n);
  Status meet(const LayerWeights& w, uint32_t expert, int64_t met, float* x);
  Status meet_shared(const LayerWeights& w, const float* normed, int64_t n, float* x);
  // Where q, k and v of a pass lie: of each token side by side where one matrix gives them.
  struct Projections {
    float *q, *k, *v;
    int64_t q_stride, k_stride, v_stride;  // from token to token
  };
  Projections place_projections(uint32_t l, int64_t n) const;
  Status project(const LayerWeights& w, const float* normed, int64_t n, const Projections& to);
  void attend(uint32_t l, uint32_t position, int64_t n, const Projections& from, float* out);
  Status linear(Operator op, const float* x, int64_t n, std::initializer_list<Linear> layers);
  void tell(const float* x, int64_t n, std::initializer_list<const Tensor*> matrices);
  Status compute(Operator op, const float* x, int64_t n, std::initializer_list<Linear> layers);
  Status multiply(const float* x, int64_t n, std::initializer_list<Linear> layers);
  void add_adapter(const float* x, int64_t n, std::initializer_list<Linear> layers);
  int64_t sharing(const MatrixView& w, int64_t n) const;
  Rounding rounding() const;
  bool is_streamed(const Tensor& tensor) const;
  Status stream(const Linear& layer, const MatmulJob& job, int64_t n);
  void norm(const float* x, const Tensor* weight, const Tensor* bias, int64_t n, float* y);
  void add_normed(float* branch, const Tensor* weight, int64_t n, float* x);
  void gate_mul(float* gate, const float* up, int64_t width, int64_t n);
  void activate(float* up, int64_t width, int64_t n);
  void shape_head(const Tensor* norm_weight, const Rope& rope, const float* angles, float* head);
  void rotate_heads(float* heads, uint32_t n_heads, uint32_t head_dim);
  MatrixView view(const Tensor& tensor) const;
  MatrixView view(const Linear& layer) const;
  const float* floats(const Tensor* tensor) const;
  const float* bias(const Tensor* tensor) const;
  template <class Body>
  void for_tokens(int64_t n, const Body& body) {  // body(token)
    team_.parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t t = begin; t < end; ++t) body(t);
    });
  }

  const Model& model_;
  const HyperParameters& hyper_;
  const KernelTable& k_;
  WeightStream& weights_;
  const LowRankWeights& adapter_;
  ThreadTeam team_;
  KvCache cache_;
  Rope rope_, sliding_rope_;
  MatmulBuffers buffers_;
  ForwardHooks hooks_;
  OperatorTimes* times_ = nullptr;
  Rounding rounding_ = Rounding::kExact;
  InputScales input_scales_ = InputScales::kFine;
  float *hidden_, *wide_, *projections_, *angles_, *sliding_angles_, *low_;
  // Of a mixture: (n, n_experts); the tokens of one expert, and what goes in and comes out of it.
  float *shares_, *gathered_;
  uint32_t* met_;
};

}  // namespace enxuto
