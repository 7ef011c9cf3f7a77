// What formats of the KV cache cost, measured on tiny models, against what they do.
#include "infer/cache_meter.h"

#include <gtest/gtest.h>

#include "plan/goal.h"
#include "tests/parity/temporary_model.h"

namespace enxuto {
namespace {

std::vector<std::vector<Token>> chunks_of(size_t n) {
  std::vector<std::vector<Token>> chunks(n, std::vector<Token>(300));
  for (size_t c = 0; c < n; ++c)
    for (size_t t = 0; t < chunks[c].size(); ++t)
      chunks[c][t] = static_cast<Token>((c * 77 + t * 31 + t * t) % 256);
  return chunks;
}

class CacheMeterTest : public testing::Test {
 protected:
  std::unique_ptr<CacheMeter> open(uint64_t memory_bytes = 0) {
    auto meter = CacheMeter::open(model_.get(), 2, memory_bytes);
    EXPECT_TRUE(meter.ok()) << meter.status().what();
    return meter.ok() ? std::move(*meter) : nullptr;
  }
  std::vector<KvFormat> all(Type key, Type value) const {
    return std::vector<KvFormat>(model_.get()->hyper.n_layers, {key, value});
  }
  static double kld(CacheMeter& meter, const std::vector<KvFormat>& cache) {
    const auto scores = meter.compare({{cache}}, chunks_of(2), 1e9, {});
    EXPECT_TRUE(scores.ok()) << scores.status().what();
    EXPECT_EQ(scores->front().scored_tokens, 2u * (150 - 1));
    return scores->front().kld_mean;
  }

  // F32: no noise of 8-bit activations, so that small divergences are what formats cost.
  TemporaryModel model_{TinyOptions{.architecture = "qwen3"}, Type::F32};
};

TEST_F(CacheMeterTest, FindsNothingWhereNothingIsLostAndMoreWithFewerBits) {
  const auto meter = open();
  EXPECT_EQ(kld(*meter, all(Type::F16, Type::F16)), 0);
  const double q8 = kld(*meter, all(Type::Q8_0, Type::Q8_0));
  EXPECT_GT(q8, 0);
  EXPECT_GT(kld(*meter, all(Type::Q4_0, Type::Q4_0)), 20 * q8);
}

// The oracle is the comparison of whole caches, in which one layer alone is small.
TEST_F(CacheMeterTest, WeighsALayerAsAComparisonOfItAloneDoes) {
  const auto meter = open();
  const auto losses = meter->weigh_layers(chunks_of(1)[0], {});
  ASSERT_TRUE(losses.ok()) << losses.status().what();
  ASSERT_EQ(losses->size(), model_.get()->hyper.n_layers);
  for (size_t l = 0; l < losses->size(); ++l)
    for (size_t i = 1; i < std::size(kCacheTypes); ++i) {
      for (const bool keys : {true, false}) {
        std::vector<KvFormat> cache = all(Type::F16, Type::F16);
        (keys ? cache[l].key : cache[l].value) = kCacheTypes[i];
        const double expected = kld(*meter, cache);
        const double weighed = (keys ? (*losses)[l].key : (*losses)[l].value)[i];
        EXPECT_LT(std::max(weighed / expected, expected / weighed), 3)
            << l << (keys ? " K " : " V ") << i << ": " << weighed << ", " << expected;
      }
    }
}

TEST_F(CacheMeterTest, MeasuresTheSameInTheLeastMemoryAndRefusesLess) {
  const auto plan = plan_cache_measurement(*model_.get(), 2, 1);
  ASSERT_TRUE(plan.ok());
  const auto least = plan_inference(*model_.get(), plan->inference);
  ASSERT_TRUE(least.ok());
  const uint64_t bytes = least->total_bytes() + plan->measuring.bytes;
  EXPECT_EQ(CacheMeter::open(model_.get(), 2, bytes - 1).status().code(), Code::kDoesNotFit);
  const auto cache = all(Type::Q4_0, Type::Q8_0);
  const double expected = kld(*open(), cache);  // in longer passes
  EXPECT_NEAR(kld(*open(bytes), cache), expected, expected / 1000);
}

TEST_F(CacheMeterTest, StopsAfterTheChunkInWhichItsTimeIsOver) {
  const std::vector<std::vector<KvFormat>> caches = {all(Type::Q8_0, Type::Q8_0)};
  const auto scores = open()->compare(caches, chunks_of(3), 0, {});
  ASSERT_TRUE(scores.ok());
  EXPECT_EQ(scores->front().scored_tokens, 149u);
}

TEST(CacheMeter, WeighsOnlyLayersThatHaveACache) {
  const TemporaryModel model({.architecture = "deci"}, Type::F32);
  const auto meter = CacheMeter::open(model.get(), 2, 0);
  ASSERT_TRUE(meter.ok()) << meter.status().what();
  const auto losses = (*meter)->weigh_layers(chunks_of(1)[0], {});
  ASSERT_TRUE(losses.ok()) << losses.status().what();
  ASSERT_EQ(losses->size(), 4u);
  for (uint32_t l = 0; l < 4; ++l)
    for (size_t i = 1; i < std::size(kCacheTypes); ++i) {
      EXPECT_EQ((*losses)[l].key[i] > 0, l != 2) << l;
      EXPECT_EQ((*losses)[l].value[i] > 0, l != 2) << l;
    }
}

TEST(CacheMeter, SaysWhereHeadsFitNoSmallerFormat) {
  const TemporaryModel model({.architecture = "llama", .width = 64}, Type::F32);
  ASSERT_EQ(model.get()->hyper.key_dim % 32, 16u);
  EXPECT_EQ(CacheMeter::open(model.get(), 1, 0).status().code(), Code::kUsage);
}

}  // namespace
}  // namespace enxuto
