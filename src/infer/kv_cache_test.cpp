#include "infer/kv_cache.h"

#include <gtest/gtest.h>

#include <cmath>

namespace enxuto {
namespace {

constexpr uint32_t kHeadDim = 32, kWindow = 5, kBatch = 3, kContext = 40;

class KvCacheTest : public testing::TestWithParam<Type> {
 protected:
  KvCacheTest() {
    model_.hyper.n_layers = 2, model_.hyper.width = 32;
    model_.hyper.n_heads = model_.hyper.n_kv_heads = 2;
    model_.hyper.key_dim = model_.hyper.value_dim = kHeadDim;
    model_.hyper.rope_dims = 4, model_.hyper.ffn_width = 32, model_.hyper.vocabulary = 10;
    model_.hyper.sliding_window = kWindow, model_.hyper.sliding_pattern = 2;  // layer 0 slides
    InferenceRequest request;
    request.context = kContext, request.batch = kBatch;
    request.kv = {{GetParam(), GetParam()}};
    auto layout = lay_out_session(model_, request);
    EXPECT_TRUE(layout.ok());
    layout_ = *layout;
    memory_.resize(layout_.kv_bytes);
  }

  // A pass of n tokens whose keys are their positions, and values the negative of it.
  void pass(KvCache& cache, uint32_t position, uint32_t n) {
    for (uint32_t l = 0; l < 2; ++l) {
      cache.make_room(l, position, n);
      for (uint32_t p = position; p < position + n; ++p) {
        std::vector<float> key(2 * kHeadDim, static_cast<float>(p));
        std::vector<float> value(2 * kHeadDim, -static_cast<float>(p));
        cache.store(kernels(), l, p, key.data(), value.data());
      }
    }
  }

  void expect_visible(const KvCache& cache, uint32_t l, uint32_t position) {
    for (uint32_t p = cache.horizon(l, position); p <= position; ++p)
      for (uint32_t h = 0; h < 2; ++h) {
        const auto head = cache.head(l, h);
        ASSERT_GE(p, head.first);
        ASSERT_LT(p - head.first, layout_.kv[l].rows);
        const int64_t at = (p - head.first) * head.rows.row_bytes;
        expect_row(cache.rotates_keys(l), head.rows.keys + at, static_cast<float>(p));
        expect_row(cache.rotates_values(l), head.rows.values + at, -static_cast<float>(p));
      }
  }

  static void expect_row(bool rotated, const uint8_t* row, float value) {
    std::vector<float> numbers(kHeadDim);
    find_codec(GetParam())->decode(row, numbers.data(), kHeadDim);
    if (rotated) kernels().rotate(numbers.data(), kHeadDim);
    for (const float number : numbers) EXPECT_NEAR(number, value, 0.005 * std::fabs(value));
  }

  Model model_;
  SessionLayout layout_;
  std::vector<uint8_t> memory_;
};

TEST_P(KvCacheTest, KeepsWhatEachTokenSees) {
  KvCache cache(model_.hyper, layout_, memory_.data());
  EXPECT_EQ(layout_.kv[0].rows, kWindow + kBatch);
  EXPECT_EQ(layout_.kv[1].rows, kContext);
  uint32_t position = 0;
  for (const uint32_t n : {3, 1, 3, 2, 3, 1, 1, 1, 3, 3, 2, 3, 3, 3, 3, 1}) {
    pass(cache, position, n);
    for (uint32_t p = position; p < position + n; ++p) {
      EXPECT_EQ(cache.horizon(0, p), p < kWindow ? 0 : p - kWindow + 1);
      EXPECT_EQ(cache.horizon(1, p), 0u);
      expect_visible(cache, 0, p);
      expect_visible(cache, 1, p);
    }
    position += n;
  }
  EXPECT_TRUE(cache.can_continue(position - 1));
  EXPECT_FALSE(cache.can_continue(kWindow + 1));  // long slid away
  EXPECT_TRUE(cache.can_continue(0));
  pass(cache, 0, 3);  // anew
  expect_visible(cache, 0, 2);
}

INSTANTIATE_TEST_SUITE_P(Formats, KvCacheTest, testing::Values(Type::F16, Type::Q8_0, Type::Q4_0),
                         [](const auto& type) {
                           return std::string(find_codec(type.param)->name);
                         });

}  // namespace
}  // namespace enxuto
