// Attention in f32 against the kernels that inference uses, and its gradient against differences.
#include "kernels/dense_attention.h"

#include <cstring>

#include "base/float16.h"
#include "kernels/finite_difference.h"
#include "kernels/tables.h"

namespace enxuto {
namespace {

// Several blocks, the last one not whole; two heads share keys and values.
AttentionShape shape_of(int64_t n_tokens, int64_t window) {
  return {n_tokens, 4, 2, 16, 0.3f, window};
}

struct Text {
  explicit Text(const AttentionShape& s, int n_threads = 1)
      : shape(s),
        team(n_threads),
        scratch(DenseAttention::scratch_floats(n_threads)),
        q(floats(s.n_heads, 1)),
        k(floats(s.n_kv_heads, 2)),
        v(floats(s.n_kv_heads, 3)),
        dout(floats(s.n_heads, 4)),
        out(q.size(), NAN),
        log_sums(static_cast<size_t>(s.n_tokens * s.n_heads), NAN),
        dq(q.size(), NAN),
        dk(k.size(), NAN),
        dv(v.size(), NAN) {}

  std::vector<float> floats(int64_t heads, uint32_t seed) const {
    return random_floats(static_cast<size_t>(shape.n_tokens * heads * shape.head_dim), seed);
  }
  DenseAttention attention() { return {*Dense::load(), team, scratch.data()}; }
  double loss() {
    attention().forward(shape, {q.data(), k.data(), v.data()}, {out.data(), log_sums.data()});
    return dot(out, dout);
  }
  void differentiate() {
    loss();
    attention().backward(shape, {q.data(), k.data(), v.data()}, {out.data(), log_sums.data()},
                         dout.data(), {dq.data(), dk.data(), dv.data()});
  }

  AttentionShape shape;
  ThreadTeam team;
  std::vector<float> scratch, q, k, v, dout, out, log_sums, dq, dk, dv;
};

// One token and head as the scalar oracle computes it, over keys and values kept as f16.
std::vector<float> by_the_oracle(const Text& text, int64_t token, int64_t head) {
  const int64_t dim = text.shape.head_dim, kv = text.shape.n_kv_heads * dim, at = head / 2 * dim;
  std::vector<uint16_t> rows;
  for (int64_t t = 0; t < text.shape.n_tokens; ++t)
    for (const auto* from : {&text.k, &text.v})
      for (int64_t i = 0; i < dim; ++i)
        rows.push_back(f32_to_f16((*from)[static_cast<size_t>(t * kv + at + i)]));
  const auto* keys = reinterpret_cast<const uint8_t*>(rows.data());
  const int64_t begin = text.shape.window ? std::max<int64_t>(0, token + 1 - text.shape.window) : 0;
  std::vector<float> out(static_cast<size_t>(dim));
  const AttendQuery query = {text.q.data() + (token * text.shape.n_heads + head) * dim, out.data(),
                             begin, token + 1};
  const KvRows view = {Type::F16, Type::F16, keys, keys + 2 * dim, 4 * dim};
  kReferenceKernels.attend(&query, 1, view, dim, text.shape.scale, nullptr);
  return out;
}

TEST(DenseAttention, IsWhatInferenceComputes) {
  for (const int64_t window : {0, 1, 40, 100}) {
    Text text(shape_of(150, window));
    text.loss();
    for (const int64_t token : {0, 1, 63, 64, 99, 149})
      for (int64_t head = 0; head < 4; ++head) {
        const auto expected = by_the_oracle(text, token, head);
        for (int64_t i = 0; i < 16; ++i)
          ASSERT_NEAR(text.out[static_cast<size_t>((token * 4 + head) * 16 + i)],
                      expected[static_cast<size_t>(i)], 3e-3)
              << "window " << window << " token " << token << " head " << head;
      }
  }
}

TEST(DenseAttention, GradientIsThatOfTheForwardPass) {
  for (const int64_t window : {0, 5, 70}) {
    SCOPED_TRACE(window);
    Text text(shape_of(140, window));
    text.differentiate();
    const auto loss = [&] { return text.loss(); };
    expect_gradient(text.q, text.dq, loss, 2e-3, 0x1p-5f, 397);
    expect_gradient(text.k, text.dk, loss, 2e-3, 0x1p-5f, 211);
    expect_gradient(text.v, text.dv, loss, 2e-3, 0x1p-5f, 211);
  }
}

TEST(DenseAttention, IsTheSameForAnyNumberOfThreads) {
  Text one(shape_of(200, 90), 1), many(shape_of(200, 90), 3);
  one.differentiate(), many.differentiate();
  EXPECT_EQ(one.out, many.out);
  EXPECT_EQ(one.dq, many.dq);
  EXPECT_EQ(one.dk, many.dk);
  EXPECT_EQ(one.dv, many.dv);
}

}  // namespace
}  // namespace enxuto
