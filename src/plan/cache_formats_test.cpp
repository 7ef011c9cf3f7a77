#include "plan/cache_formats.h"

#include <gtest/gtest.h>

#include "plan/plan.h"

namespace enxuto {
namespace {

constexpr Type F16 = Type::F16, Q8 = Type::Q8_0, Q4 = Type::Q4_0;

// Three layers, whose caches are the same number of bytes, and weights of a million.
class CacheFormats : public testing::Test {
 protected:
  void SetUp() override {
    HyperParameters& h = model_.hyper;
    h.n_layers = 3, h.width = 64, h.n_heads = 2, h.n_kv_heads = 2, h.key_dim = h.value_dim = 32;
    h.ffn_width = 64, h.vocabulary = 100, h.trained_context = 4096, h.rope_dims = 32;
    model_.tensors.resize(1);
    model_.tensors[0].n_dims = 1, model_.tensors[0].shape[0] = 250000;
    request_.context = 4096;
    // The last layer's keys cost most, the first one's values least.
    losses_[0] = {{0, 0.02, 0.08}, {0, 0.001, 0.004}};
    losses_[1] = {{0, 0.03, 0.12}, {0, 0.002, 0.2}};
    losses_[2] = {{0, 0.1, 0.9}, {0, 0.003, 0.001}};  // q8_0 costs more than q4_0: never chosen
  }
  uint64_t total(const std::vector<KvFormat>& kv) const {
    InferenceRequest request = request_;
    request.kv = kv;
    return plan_inference(model_, request)->total_bytes();
  }
  std::vector<KvFormat> choose(uint64_t budget, CacheParts parts = {true, true}) const {
    return choose_cache(model_, request_, parts, losses_, budget);
  }

  Model model_;
  InferenceRequest request_;
  std::vector<LayerLoss> losses_ = std::vector<LayerLoss>(3);
};

TEST_F(CacheFormats, StaysF16WhereThatFits) {
  const std::vector<KvFormat> f16(3);
  EXPECT_EQ(choose(total(f16)), f16);
}

TEST_F(CacheFormats, TakesTheCheapestStepsFirstAndNoMoreThanAreNeeded) {
  const std::vector<KvFormat> order[] = {
      {{F16, F16}, {F16, F16}, {F16, Q4}},  // the least for each byte saved
      {{F16, Q8}, {F16, F16}, {F16, Q4}},  {{F16, Q8}, {F16, Q8}, {F16, Q4}},
      {{F16, Q4}, {F16, Q8}, {F16, Q4}},   {{Q8, Q4}, {F16, Q8}, {F16, Q4}},
      {{Q8, Q4}, {Q8, Q8}, {F16, Q4}},
  };
  uint64_t before = total({});
  double least = 0;
  for (const auto& expected : order) {
    EXPECT_EQ(choose(before - 1), expected) << cache_options(choose(before - 1));
    EXPECT_EQ(choose(total(expected)), expected);
    EXPECT_GT(cache_loss(losses_, expected), least);
    before = total(expected), least = cache_loss(losses_, expected);
  }
  EXPECT_EQ(choose(1), std::vector<KvFormat>(3, {Q4, Q4}));
}

// Which has no part in what it saves, nor in what it costs.
TEST_F(CacheFormats, ALayerWithoutACacheGoesWithTheOneBeforeIt) {
  model_.hyper.uneven = {{2, 2, 64}, {0, 0, 64}, {2, 1, 64}};
  losses_[1] = {};
  // The last layer's values cost no more, but have half as many bytes to save.
  const std::vector<KvFormat> first = {{F16, Q8}, {F16, Q8}, {F16, F16}};
  EXPECT_EQ(choose(total({}) - 1), first);
  EXPECT_EQ(choose(total(first) - 1), (std::vector<KvFormat>{{F16, Q8}, {F16, Q8}, {F16, Q4}}));
  EXPECT_EQ(choose(1), std::vector<KvFormat>(3, {Q4, Q4}));
  const auto cost = [&](std::vector<KvFormat> kv) { return expected_cache_kld(model_, kv); };
  EXPECT_EQ(cost({{F16, F16}, {Q4, Q4}, {F16, F16}}), 0);
  EXPECT_GT(cost({{Q4, Q4}, {F16, F16}, {F16, F16}}), 0);
}

TEST_F(CacheFormats, ChangesOnlyThePartThatItMay) {
  request_.kv = {{Q8, F16}};
  const std::vector<KvFormat> values = choose(1, {.values = true});
  for (const KvFormat& layer : values) EXPECT_EQ(layer, (KvFormat{Q8, Q4}));
  const std::vector<KvFormat> keys = choose(1, {.keys = true});
  for (const KvFormat& layer : keys) EXPECT_EQ(layer, (KvFormat{Q4, F16}));
}

TEST_F(CacheFormats, AreNamedAsTheyAreAskedFor) {
  EXPECT_EQ(cache_name(std::vector<KvFormat>(3, {Q8, Q8})), "q8_0");
  EXPECT_EQ(cache_name(std::vector<KvFormat>(3, {Q8, F16})), "K q8_0, V f16");
  const std::vector<KvFormat> mixed = {{F16, Q8}, {F16, Q8}, {Q4, Q8}, {F16, Q4}};
  EXPECT_EQ(cache_options(mixed), "-ctk f16,2=q4_0 -ctv q8_0,3=q4_0");
  EXPECT_EQ(cache_options(std::vector<KvFormat>{{Q8, Q4}, {Q8, Q4}, {Q4, Q4}, {Q4, Q4}, {Q4, Q4}}),
            "-ctk q4_0,0-1=q8_0 -ctv q4_0");
  EXPECT_EQ(cache_of_layers(std::vector<KvFormat>{{Q8, Q4}, {F16, Q4}}, 4),
            (std::vector<KvFormat>{{Q8, Q4}, {F16, Q4}, {F16, Q4}, {F16, Q4}}));
}

TEST_F(CacheFormats, AreExpectedToCostMoreWithFewerBits) {
  const auto cost = [&](Type key, Type value) {
    return expected_cache_kld(model_, std::vector<KvFormat>(2, {key, value}));
  };
  EXPECT_EQ(cost(F16, F16), 0);
  EXPECT_GT(cost(Q8, F16), 0);
  EXPECT_GT(cost(Q4, Q8), cost(Q8, Q8));
  EXPECT_GT(cost(Q4, Q4), cost(Q4, Q8));
  const double half = expected_cache_kld(model_, std::vector<KvFormat>{{Q4, Q4}, {F16, F16}});
  EXPECT_GT(half, cost(Q4, Q4) / 2);
  EXPECT_LT(half, cost(Q4, Q4));
  const double plain = cost(Q4, Q8), values = cost(Q8, Q4);
  LayerWeights biased;
  biased.k_bias = &model_.tensors[0];
  model_.layers.assign(3, biased);
  EXPECT_GT(cost(Q4, Q8), 10 * plain);
  EXPECT_EQ(cost(Q8, Q4), values);
}

}  // namespace
}  // namespace enxuto
