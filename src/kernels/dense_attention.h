// Attention of a text's tokens among themselves, in f32, forward and backward: queries meet keys
// block by block, and no matrix of all scores is held. Heads that share keys and values, and
// windows that slide.
//
//   s = scale q . k      p = e^(s - log_sum)      out = sum p v,  over what a query may see
#pragma once

#include <cstdint>

#include "kernels/dense.h"
#include "platform/threads.h"

namespace enxuto {

struct AttentionShape {
  int64_t n_tokens, n_heads, n_kv_heads, head_dim;
  float scale;
  int64_t window;  // tokens that each sees, itself the last of them; 0: all before it too
};

// Queries and all that is as wide: (n_tokens, n_heads, head_dim). Keys and values: (n_tokens,
// n_kv_heads, head_dim).
struct AttentionInputs {
  const float *q, *k, *v;
};
struct AttentionOutputs {
  float* out;
  float* log_sums;  // (n_heads, n_tokens): what the way back needs to know the shares again
};
struct AttentionGradients {
  float *dq, *dk, *dv;
};

// Results do not depend on the number of threads.
class DenseAttention {
 public:
  static uint64_t scratch_floats(int n_threads);
  // scratch: scratch_floats(team.size()) floats
  DenseAttention(const Dense& dense, ThreadTeam& team, float* scratch)
      : dense_(dense), team_(team), scratch_(scratch) {}

  void forward(const AttentionShape& shape, const AttentionInputs& in,
               const AttentionOutputs& to) const;
  // dout: the gradient by `out`.
  void backward(const AttentionShape& shape, const AttentionInputs& in,
                const AttentionOutputs& from, const float* dout,
                const AttentionGradients& to) const;

 private:
  Dense dense_;
  ThreadTeam& team_;
  float* scratch_;
};

}  // namespace enxuto
