#include "plan/choices.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "plan/expectation.h"

namespace enxuto {
namespace {

void add(Model& model, const char* name, Type type, uint64_t columns, uint64_t rows) {
  Tensor tensor;
  tensor.name = name;
  tensor.type = type;
  tensor.n_dims = rows == 1 ? 1 : 2;
  tensor.shape[0] = columns, tensor.shape[1] = rows;
  model.file_bytes += tensor.bytes();
  model.tensors.push_back(tensor);
}

// 100 million weights; rows of 512 (which super-blocks of 256 divide) and of 576 (which they do
// not).
class Choices : public testing::Test {
 protected:
  void SetUp() override {
    HyperParameters& h = model_.hyper;
    h.n_layers = 10, h.width = 512, h.n_heads = 8, h.n_kv_heads = 4, h.key_dim = h.value_dim = 64;
    h.ffn_width = 576, h.vocabulary = 1000, h.trained_context = 3000, h.rope_dims = 64;
    add(model_, "wide", Type::F16, 512, 100000);
    add(model_, "narrow", Type::F16, 576, 84736);
    add(model_, "norm", Type::F32, 512, 1);
  }

  Result<ChoiceTable> weigh(uint64_t budget, uint32_t context = 1000, uint32_t sequences = 1) {
    ChoiceQuestion question;
    question.request.context = context;
    question.request.sequences = sequences;
    question.request.kv = cache_;
    question.budget_bytes = budget;
    question.bandwidth = 1e9;
    return weigh_choices(model_, question);
  }

  Model model_;
  std::vector<KvFormat> cache_;  // named: no other is recommended
};

FormatMix mix_of(const char* name) {
  for (const FormatMix& mix : format_mixes())
    if (std::string_view(mix.name) == name) return mix;
  ADD_FAILURE() << name;
  return {};
}

TEST_F(Choices, SizesOfMixesAreExactWithFallbacksWhereRowsDoNotDivide) {
  const uint64_t norm = 512 * 4;
  // Q4_K: 144 bytes for 256 values; Q5_0 for the narrow one: 22 bytes for 32.
  EXPECT_EQ(size_of_mix(model_, mix_of("Q4_K"))->weights_bytes,
            100000u * 2 * 144 + 84736u * 18 * 22 + norm);
  EXPECT_EQ(size_of_mix(model_, mix_of("Q2_K"))->weights_bytes,
            100000u * 2 * 84 + 84736u * 18 * 18 + norm);
  EXPECT_EQ(size_of_mix(model_, mix_of("Q8_0"))->weights_bytes,
            100000u * 16 * 34 + 84736u * 18 * 34 + norm);
  EXPECT_EQ(size_of_mix(model_, mix_of("as is"))->file_bytes, model_.file_bytes);
}

TEST_F(Choices, NoMixMakesATensorLarger) {
  add(model_, "small already", Type::Q3_K, 512, 10);
  EXPECT_EQ(type_in_mix(model_.tensors.back(), mix_of("Q8_0")), Type::Q3_K);
  add(model_, "odd", Type::F16, 33, 10);
  EXPECT_EQ(type_in_mix(model_.tensors.back(), mix_of("Q8_0")), Type::F16);
}

TEST_F(Choices, TriesPowersOfTwoUpToTheTrainedContextAndTheOneWanted) {
  const auto table = weigh(kGiB);
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table->contexts, (std::vector<uint32_t>{512, 1000, 1024, 2048, 3000}));
  EXPECT_EQ(table->batches, (std::vector<uint32_t>{16, 192, 512}));
  for (const MixChoice& mix : table->mixes) EXPECT_EQ(mix.combinations.size(), 3u * 15);
}

TEST_F(Choices, TotalsAreThoseOfThePlan) {
  const auto table = weigh(kGiB);
  InferenceRequest request;
  request.context = 2048, request.batch = 512;
  const uint64_t planned = plan_inference(model_, request)->total_bytes();
  EXPECT_EQ(table->mixes[0].combinations[3 * 3 + 2].total_bytes, planned);
  const MixChoice& q8 = table->mixes[1];
  EXPECT_EQ(q8.combinations[3 * 3 + 2].total_bytes, planned - model_.file_bytes + q8.file_bytes);
}

TEST_F(Choices, CachesTakeTheirBytesOffEveryMix) {
  const auto table = weigh(kGiB);
  ASSERT_EQ(table->caches.size(), 3u);
  const uint64_t numbers = 10u * 4 * 128 * 1000;
  EXPECT_EQ(table->caches[0].bytes, numbers * 2);
  EXPECT_EQ(table->caches[1].bytes, numbers * 34 / 32);
  EXPECT_EQ(table->caches[2].bytes, numbers * 18 / 32);
  const auto at = [&](size_t mix, size_t cache) {
    return table->mixes[mix].combinations[cache * 15 + 4];
  };
  for (size_t cache = 0; cache < 3; ++cache) {
    EXPECT_EQ(at(0, cache).total_bytes, table->caches[cache].total_bytes);
    EXPECT_EQ(at(2, 0).total_bytes - at(2, cache).total_bytes,
              table->caches[0].bytes - table->caches[cache].bytes);
  }
  const auto tight = weigh(table->caches[1].total_bytes);
  EXPECT_FALSE(tight->caches[0].fits);
  EXPECT_LT(tight->caches[0].largest_context, 1000u);
  EXPECT_TRUE(tight->caches[1].fits);
}

TEST_F(Choices, RecommendsASmallerCacheBeforeAWorseMixUnlessOneIsNamed) {
  const auto table = weigh(kGiB);
  ChoiceQuestion question;
  question.request.context = 1000;
  question.budget_bytes = table->caches[1].total_bytes;
  // Less than any mix costs.
  question.measured = {{table->caches[1].layers, 1e-6}};
  auto best = weigh_choices(model_, question)->recommendation;
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ(best->mix, "as is");
  EXPECT_EQ(best->cache, 1u);
  EXPECT_EQ(best->total_bytes, question.budget_bytes);
  EXPECT_EQ(best->expected_kld, 1e-6);
  EXPECT_NE(best->reason.find("as is would take"), std::string::npos) << best->reason;
  question.request.kv = {{}};
  best = weigh_choices(model_, question)->recommendation;
  EXPECT_EQ(best->cache, 0u);
  EXPECT_NE(best->mix, "as is");
}

TEST_F(Choices, WhatWasMeasuredIsAChoiceOfItsOwn) {
  ChoiceQuestion question;
  question.request.context = 1000;
  std::vector<KvFormat> mixed(10, {Type::Q8_0, Type::Q8_0});
  mixed[3].value = Type::Q4_0;
  question.measured = {{mixed, 0.25}};
  const auto table = weigh_choices(model_, question);
  ASSERT_TRUE(table.ok());
  ASSERT_EQ(table->caches.size(), 4u);  // between q8_0 and q4_0
  EXPECT_EQ(table->caches[2].layers, mixed);
  EXPECT_EQ(table->caches[2].expected_kld, 0.25);
  EXPECT_TRUE(table->caches[2].measured);
}

TEST_F(Choices, TakesTheBestThatFitsAndSaysWhatTheNextWouldNeed) {
  cache_ = {{}};
  auto table = weigh(kGiB);
  EXPECT_EQ(table->recommendation->mix, "as is");
  const auto total = [&](size_t mix) { return table->mixes[mix].combinations[3 + 1].total_bytes; };
  for (size_t i = 1; i < table->mixes.size(); ++i) {
    const auto tight = weigh(total(i));
    ASSERT_TRUE(tight->recommendation.has_value());
    EXPECT_EQ(tight->recommendation->mix, table->mixes[i].mix);
    EXPECT_EQ(tight->recommendation->total_bytes, total(i));
    EXPECT_NE(tight->recommendation->reason.find(table->mixes[i - 1].mix), std::string::npos);
    EXPECT_EQ(tight->mixes[i].largest_context, 1000u);
    EXPECT_GT(table->mixes[i].expected_kld, table->mixes[i - 1].expected_kld);
  }
}

TEST_F(Choices, ShortensThePassThenTheContextWhereNothingElseHelps) {
  cache_ = {{}};
  const auto table = weigh(kGiB);
  const MixChoice& smallest = table->mixes.back();
  const auto pass = weigh(smallest.combinations[3].total_bytes);
  EXPECT_EQ(pass->recommendation->batch, 16u);
  EXPECT_EQ(pass->recommendation->context, 1000u);
  const auto context = weigh(smallest.combinations[0].total_bytes);
  EXPECT_EQ(context->recommendation->context, 512u);
  EXPECT_EQ(context->recommendation->mix, smallest.mix);
  EXPECT_FALSE(weigh(kMiB)->recommendation.has_value());
  EXPECT_EQ(weigh(kMiB)->mixes.back().largest_context, 0u);
}

TEST_F(Choices, SequencesHaveACacheEachAndShareTheWeights) {
  const auto one = weigh(kGiB), eight = weigh(kGiB, 1000, 8);
  const uint64_t cache = 10u * 4 * 128 * 2 * 1000;
  EXPECT_EQ(eight->mixes[0].bytes_per_token - one->mixes[0].bytes_per_token, 7 * cache);
  EXPECT_GT(eight->mixes[0].combinations[4].total_bytes,
            one->mixes[0].combinations[4].total_bytes + 7 * cache);
  EXPECT_DOUBLE_EQ(eight->mixes[0].expected_tokens_per_second,
                   8e9 / static_cast<double>(eight->mixes[0].bytes_per_token));
}

TEST_F(Choices, AnswersLiesWithAnError) {
  add(model_, "lie", Type::F16, uint64_t{1} << 40, uint64_t{1} << 40);
  EXPECT_FALSE(weigh(kGiB).ok());
}

// The table of stock llama.cpp's files in the header's comment.
TEST(Expectation, LiesWithinAFactorOfWhatWasMeasured) {
  struct Measured {
    uint64_t parameters;
    double bits, kld;
  };
  constexpr uint64_t kSmol = 134'515'008, kQwen = 1'777'000'000;
  for (const Measured& m : {Measured{kSmol, 8.61, 0.0043},
                            {kSmol, 6.27, 0.0458},
                            {kSmol, 5.46, 0.1146},
                            {kSmol, 5.09, 0.3320},
                            {kQwen, 5.03, 0.0283},
                            {kQwen, 4.16, 0.1048},
                            {kQwen, 3.16, 0.3912}}) {
    const double expected = expected_kld(m.bits, m.parameters);
    EXPECT_LT(std::max(expected / m.kld, m.kld / expected), 1.7) << m.bits;
  }
  EXPECT_EQ(expected_kld(4, 70'000'000'000), expected_kld(4, kQwen));
  EXPECT_EQ(expected_steps_per_second(1000, 0), 0);
}

}  // namespace
}  // namespace enxuto
