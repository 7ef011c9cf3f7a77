#include "kernels/dense_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

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
    const AttentionRow query = {
        from.log_sums[b.head * shape_.n_tokens + b.q + i],
        static_cast<float>(kernels().dot(from.out + at, dout + at, shape_.head_dim)), shape_.scale};
    float *share = shares + i * kBlock, *gradient = gradients + i * kBlock;
    const Range see = seen(b, i);
    kernels().attention_gradient(share + see.begin, gradient + see.begin, see.end - see.begin,
                                 query);
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
    float* scores = row + see.begin;
    const int64_t n = see.end - see.begin;
    const float most = std::max(top_[i], kernels().largest(scores, n));
    const float shrink = std::exp(top_[i] - most);
    if (!begins && shrink != 1) scale_out(b, i, shrink);
    sum_[i] = sum_[i] * shrink + kernels().exponentials(scores, n, most, 1);
    top_[i] = most;
  }

  const View& view_;
  const AttentionOutputs& to_;
  float* scores_;
  float top_[kBlock];
  double sum_[kBlock];
};

// Blocks of the way back, one after the other, in one thread.
class BlockBackward {
 public:
  BlockBackward(const View& view, const AttentionOutputs& from, const float* dout,
                const AttentionGradients& to, float* scratch)
      : view_(view),
        from_(from),
        dout_(dout),
        to_(to),
        shares_(scratch),
        gradients_(scratch + kBlockFloats) {}

  void differentiate(const Block& b) {
    view_.score_gradients(b, from_, dout_, shares_, gradients_);
  }
  // Keys come in ascending order, for each block of queries.
  void add_to_queries(const Block& b) {
    view_.dense().multiply(b.n_q, dim(), b.n_k, 1, {gradients_, kBlock},
                           view_.keys(view_.in().k, b, false),
                           b.k == view_.first_seen(b.q / kBlock) * kBlock ? 0.0f : 1.0f,
                           to_.dq + view_.wide_at(b.q, b.head), view_.wide());
  }
  // Heads that share keys come in ascending order, and for each the queries.
  void add_to_keys(const Block& b) {
    const bool begins = b.head % view_.sharing() == 0 && b.q == b.k;
    add_key_gradient(b, shares_, dout_, begins, to_.dv);
    add_key_gradient(b, gradients_, view_.in().q, begins, to_.dk);
  }

 private:
  int64_t dim() const { return view_.shape().head_dim; }
  void add_key_gradient(const Block& b, const float* by, const float* queries, bool begins,
                        float* to) {
    view_.dense().multiply(b.n_k, dim(), b.n_q, 1, {by, kBlock, true}, view_.queries(queries, b),
                           begins ? 0.0f : 1.0f, to + view_.narrow_at(b.k, b.head), view_.narrow());
  }

  const View& view_;
  const AttentionOutputs& from_;
  const float* dout_;
  const AttentionGradients& to_;
  float *shares_, *gradients_;
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

// Where all threads have heads of keys to themselves, five products a block, a head at a time; else
// seven, block by block, once for what each query adds up and once for what each key and value
// does. Both add in the same order.
void DenseAttention::backward(const AttentionShape& shape, const AttentionInputs& in,
                              const AttentionOutputs& from, const float* dout,
                              const AttentionGradients& to) const {
  const View view(dense_, shape, in);
  const int64_t n_blocks = view.n_blocks(), heads = shape.n_kv_heads, threads = team_.size();
  const auto back = [&](int thread) {
    return BlockBackward(view, from, dout, to, scratch_ + thread * 2 * kBlockFloats);
  };
  // Blocks of keys [begin, end) with all queries of the heads that read them.
  const auto keys = [&](int64_t kv_head, int64_t begin, int64_t end, const auto& add) {
    for (int64_t head = kv_head * view.sharing(); head < (kv_head + 1) * view.sharing(); ++head)
      for (int64_t k = begin; k < end; ++k)
        for (int64_t q = k; q <= view.last_seeing(k); ++q) add(view.block(head, q, k));
  };
  if (5 * ((heads + threads - 1) / threads * threads) <= 7 * heads) {
    team_.parallel_for(heads, 1, [&](int64_t kv_head, int64_t, int thread) {
      BlockBackward blocks = back(thread);
      keys(kv_head, 0, n_blocks, [&](const Block& b) {
        blocks.differentiate(b), blocks.add_to_queries(b), blocks.add_to_keys(b);
      });
    });
    return;
  }
  team_.parallel_for(shape.n_heads * n_blocks, 1, [&](int64_t task, int64_t, int thread) {
    const int64_t head = task % shape.n_heads, q = task / shape.n_heads;
    BlockBackward blocks = back(thread);
    for (int64_t k = view.first_seen(q); k <= q; ++k) {
      const Block b = view.block(head, q, k);
      blocks.differentiate(b), blocks.add_to_queries(b);
    }
  });
  team_.parallel_for(heads * n_blocks, 1, [&](int64_t task, int64_t, int thread) {
    BlockBackward blocks = back(thread);
    const int64_t k = task / heads;
    keys(task % heads, k, k + 1,
         [&](const Block& b) { blocks.differentiate(b), blocks.add_to_keys(b); });
  });
}

}  // namespace enxuto
