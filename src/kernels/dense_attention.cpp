#include "kernels/dense_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/row_sums.h"

namespace enxuto {
namespace {

constexpr int64_t kBlock = 64;
constexpr int64_t kBlockFloats = kBlock * kBlock;

// Queries [q, q + n_q) of a head against keys [k, k + n_k) of the head that it reads.
struct Block {
  int64_t head, q, n_q, k, n_k;
};
// Keys [begin, end) of a block's, counted from its first one.
struct Range {
  int64_t begin, end;
};

// Where things lie, for one shape.
class View {
 public:
  View(const Dense& dense, const AttentionShape& shape, const AttentionInputs& in)
      : dense_(dense), shape_(shape), in_(in) {}

  int64_t n_blocks() const { return (shape_.n_tokens + kBlock - 1) / kBlock; }
  int64_t sharing() const { return shape_.n_heads / shape_.n_kv_heads; }
  Block block(int64_t head, int64_t q, int64_t k) const {
    const int64_t q0 = q * kBlock, k0 = k * kBlock;
    return {head, q0, std::min(kBlock, shape_.n_tokens - q0), k0,
            std::min(kBlock, shape_.n_tokens - k0)};
  }
  // The first position that a token sees.
  int64_t horizon(int64_t token) const {
    return shape_.window ? std::max<int64_t>(0, token + 1 - shape_.window) : 0;
  }
  // The block of keys in which the sight of a block of queries begins.
  int64_t first_seen(int64_t q) const { return horizon(q * kBlock) / kBlock; }
  // The last block of queries that sees a block of keys.
  int64_t last_seeing(int64_t k) const {
    if (!shape_.window) return n_blocks() - 1;
    return std::min(n_blocks() - 1, (k * kBlock + kBlock + shape_.window - 2) / kBlock);
  }
  Range seen(const Block& b, int64_t query) const {
    const int64_t token = b.q + query;
    return {std::clamp<int64_t>(horizon(token) - b.k, 0, b.n_k),
            std::clamp<int64_t>(token + 1 - b.k, 0, b.n_k)};
  }

  int64_t wide() const { return shape_.n_heads * shape_.head_dim; }
  int64_t narrow() const { return shape_.n_kv_heads * shape_.head_dim; }
  int64_t wide_at(int64_t token, int64_t head) const {
    return token * wide() + head * shape_.head_dim;
  }
  int64_t narrow_at(int64_t token, int64_t head) const {
    return token * narrow() + head / sharing() * shape_.head_dim;
  }
  DenseMatrix queries(const float* all, const Block& b) const {
    return {all + wide_at(b.q, b.head), wide()};
  }
  DenseMatrix keys(const float* all, const Block& b, bool transposed) const {
    return {all + narrow_at(b.k, b.head), narrow(), transposed};
  }

  // scores (n_q, kBlock) = scale q k'
  void scores(const Block& b, float* scores) const {
    dense_.multiply(b.n_q, b.n_k, shape_.head_dim, shape_.scale, queries(in_.q, b),
                    keys(in_.k, b, true), 0, scores, kBlock);
  }
  // shares (n_q, kBlock), and the gradient by what the scale is multiplied with (n_q, kBlock).
  void score_gradients(const Block& b, const AttentionOutputs& from, const float* dout,
                       float* shares, float* gradients) const;

  const Dense& dense() const { return dense_; }
  const AttentionShape& shape() const { return shape_; }
  const AttentionInputs& in() const { return in_; }

 private:
  const Dense& dense_;
  const AttentionShape& shape_;
  const AttentionInputs& in_;
};

// With D = out . dout:   ds = scale p (dout . v - D)
void View::score_gradients(const Block& b, const AttentionOutputs& from, const float* dout,
                           float* shares, float* gradients) const {
  scores(b, shares);
  dense_.multiply(b.n_q, b.n_k, shape_.head_dim, 1, queries(dout, b), keys(in_.v, b, true), 0,
                  gradients, kBlock);
  for (int64_t i = 0; i < b.n_q; ++i) {
    const int64_t at = wide_at(b.q + i, b.head);
    const float log_sum = from.log_sums[b.head * shape_.n_tokens + b.q + i];
    const auto along =
        static_cast<float>(sum_of(static_cast<size_t>(shape_.head_dim), [&](size_t c) {
          return from.out[at + static_cast<int64_t>(c)] * dout[at + static_cast<int64_t>(c)];
        }));
    float *share = shares + i * kBlock, *gradient = gradients + i * kBlock;
    const Range see = seen(b, i);
    for (int64_t j = see.begin; j < see.end; ++j) {
      share[j] = exp_below_zero(share[j] - log_sum);
      gradient[j] = shape_.scale * share[j] * (gradient[j] - along);
    }
    for (float* row : {share, gradient}) {
      std::fill(row, row + see.begin, 0.0f);
      std::fill(row + see.end, row + b.n_k, 0.0f);
    }
  }
}

// A block of queries over all blocks of keys that they see, one after the other: sums relative to
// the largest score so far.
class BlockForward {
 public:
  BlockForward(const View& view, const AttentionOutputs& to, float* scratch)
      : view_(view), to_(to), scores_(scratch) {}

  void run(int64_t head, int64_t q) {
    const Block first = view_.block(head, q, 0);
    std::fill(top_, top_ + kBlock, -INFINITY);
    std::fill(sum_, sum_ + kBlock, 0.0);
    for (int64_t k = view_.first_seen(q); k <= q; ++k) {
      const Block b = view_.block(head, q, k);
      view_.scores(b, scores_);
      for (int64_t i = 0; i < b.n_q; ++i) share_row(b, i, k == view_.first_seen(q));
      view_.dense().multiply(b.n_q, view_.shape().head_dim, b.n_k, 1, {scores_, kBlock},
                             view_.keys(view_.in().v, b, false), 1, out(b, 0), view_.wide());
    }
    for (int64_t i = 0; i < first.n_q; ++i) {
      to_.log_sums[head * view_.shape().n_tokens + first.q + i] =
          top_[i] + static_cast<float>(std::log(sum_[i]));
      scale_out(first, i, static_cast<float>(1 / sum_[i]));
    }
  }

 private:
  float* out(const Block& b, int64_t i) const { return to_.out + view_.wide_at(b.q + i, b.head); }
  void scale_out(const Block& b, int64_t i, float by) const {
    for (float *x = out(b, i), *end = x + view_.shape().head_dim; x < end; ++x) *x *= by;
  }

  // Scores of one query become shares of what its largest so far is one.
  void share_row(const Block& b, int64_t i, bool begins) {
    float* row = scores_ + i * kBlock;
    const Range see = view_.seen(b, i);
    std::fill(row, row + see.begin, 0.0f);
    std::fill(row + see.end, row + b.n_k, 0.0f);
    if (begins) std::fill_n(out(b, i), view_.shape().head_dim, 0.0f);
    if (see.begin >= see.end) return;
    const float most = std::max(top_[i], *std::max_element(row + see.begin, row + see.end));
    const float shrink = std::exp(top_[i] - most);
    if (!begins && shrink != 1) scale_out(b, i, shrink);
    for (int64_t j = see.begin; j < see.end; ++j) row[j] = exp_below_zero(row[j] - most);
    sum_[i] = sum_[i] * shrink + sum_of(static_cast<size_t>(see.end - see.begin), [&](size_t j) {
                return row[see.begin + static_cast<int64_t>(j)];
              });
    top_[i] = most;
  }

  const View& view_;
  const AttentionOutputs& to_;
  float* scores_;
  float top_[kBlock];
  double sum_[kBlock];
};

}  // namespace

uint64_t DenseAttention::scratch_floats(int n_threads) {
  return static_cast<uint64_t>(n_threads) * 2 * kBlockFloats;
}

void DenseAttention::forward(const AttentionShape& shape, const AttentionInputs& in,
                             const AttentionOutputs& to) const {
  const View view(dense_, shape, in);
  const int64_t n_blocks = view.n_blocks();
  team_.parallel_for(shape.n_heads * n_blocks, 1, [&](int64_t task, int64_t, int thread) {
    BlockForward(view, to, scratch_ + thread * 2 * kBlockFloats)
        .run(task % shape.n_heads, task / shape.n_heads);
  });
}

// Twice over the blocks: once for what each query adds up, once for what each key and value does.
void DenseAttention::backward(const AttentionShape& shape, const AttentionInputs& in,
                              const AttentionOutputs& from, const float* dout,
                              const AttentionGradients& to) const {
  const View view(dense_, shape, in);
  const int64_t n_blocks = view.n_blocks(), dim = shape.head_dim;
  const auto scratch = [&](int thread) { return scratch_ + thread * 2 * kBlockFloats; };
  team_.parallel_for(shape.n_heads * n_blocks, 1, [&](int64_t task, int64_t, int thread) {
    const int64_t head = task % shape.n_heads, q = task / shape.n_heads;
    float *shares = scratch(thread), *gradients = shares + kBlockFloats;
    for (int64_t k = view.first_seen(q); k <= q; ++k) {
      const Block b = view.block(head, q, k);
      view.score_gradients(b, from, dout, shares, gradients);
      dense_.multiply(b.n_q, dim, b.n_k, 1, {gradients, kBlock}, view.keys(in.k, b, false),
                      k == view.first_seen(q) ? 0.0f : 1.0f, to.dq + view.wide_at(b.q, head),
                      view.wide());
    }
  });
  team_.parallel_for(shape.n_kv_heads * n_blocks, 1, [&](int64_t task, int64_t, int thread) {
    const int64_t kv_head = task % shape.n_kv_heads, k = task / shape.n_kv_heads;
    float *shares = scratch(thread), *gradients = shares + kBlockFloats, beta = 0;
    for (int64_t head = kv_head * view.sharing(); head < (kv_head + 1) * view.sharing(); ++head)
      for (int64_t q = k; q <= view.last_seeing(k); ++q, beta = 1) {
        const Block b = view.block(head, q, k);
        view.score_gradients(b, from, dout, shares, gradients);
        const int64_t at = view.narrow_at(b.k, head);
        dense_.multiply(b.n_k, dim, b.n_q, 1, {shares, kBlock, true}, view.queries(dout, b), beta,
                        to.dv + at, view.narrow());
        dense_.multiply(b.n_k, dim, b.n_q, 1, {gradients, kBlock, true}, view.queries(in.q, b),
                        beta, to.dk + at, view.narrow());
      }
  });
}

}  // namespace enxuto
