#include "plan/training.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "plan/compression_plan.h"
#include "plan/html_page.h"
#include "plan/lesson.h"

namespace enxuto {
namespace {

// One matrix of 1,000,000 weights and a norm of 100; 4 blocks; all widths small and round.
class Goals : public testing::Test {
 protected:
  void SetUp() override {
    HyperParameters& h = model_.hyper;
    h.n_layers = 4, h.width = 100, h.n_heads = 10, h.n_kv_heads = 5, h.key_dim = h.value_dim = 10;
    h.ffn_width = 300, h.vocabulary = 1000, h.trained_context = 512, h.rope_dims = 10;
    model_.tensors.resize(2);
    Tensor &matrix = model_.tensors[0], &norm = model_.tensors[1];
    matrix.name = "matrix", matrix.type = Type::F16, matrix.n_dims = 2;
    matrix.shape[0] = 100, matrix.shape[1] = 10000;
    norm.name = "norm", norm.n_dims = 1, norm.shape[0] = 100;
    request_.context = 200, request_.sequences = 3;
  }

  Model model_;
  TrainingRequest request_;
};

TEST_F(Goals, TrainingTakesSixteenBytesAWeight) {
  const auto sizes = size_training(model_, request_);
  ASSERT_TRUE(sizes.ok());
  EXPECT_EQ(sizes->n_parameters, 1'000'100u);
  EXPECT_EQ(sizes->parameters, 4'000'400u);
  EXPECT_EQ(sizes->gradients, 4'000'400u);
  EXPECT_EQ(sizes->optimizer, 8'000'800u);
  request_.optimizer = Optimizer::kAdamW8bit;
  // 3,907 blocks of 256 weights: a byte each and a scale of 4, twice.
  EXPECT_EQ(size_training(model_, request_)->optimizer, 2u * (1'000'100 + 3907 * 4));
}

TEST_F(Goals, CheckpointsTradeKeptActivationsForInputsOfBlocks) {
  // Of a token, a block keeps 4 x 100, 10 x (10 + 10 + 1), 5 x 20 and 3 x 300 values.
  ASSERT_EQ(kept_values_per_token(model_.hyper, 0), 1610u);
  const uint64_t block = 600u * 1610 * 4;
  const auto every = size_training(model_, request_);
  EXPECT_EQ(every->n_tokens, 600u);
  EXPECT_EQ(every->checkpoints, 4u * 600 * 100 * 2);
  EXPECT_EQ(every->activations, 2 * block);
  request_.checkpoint_every = 3;
  const auto third = size_training(model_, request_);
  EXPECT_EQ(third->checkpoints, 2u * 600 * 100 * 2);
  EXPECT_EQ(third->activations, 4 * block);
  request_.checkpoint_every = 0;
  const auto none = size_training(model_, request_);
  EXPECT_EQ(none->checkpoints, 0u);
  EXPECT_EQ(none->activations, 5 * block);
}

TEST_F(Goals, WhereBlocksDifferTheMostThatAreAliveAtOnceCount) {
  model_.hyper.uneven = {{10, 5, 300}, {0, 0, 300}, {10, 5, 100}, {5, 5, 300}};
  const uint64_t kept[] = {1610, 1100, 1010, 1505};
  for (uint32_t l = 0; l < 4; ++l) EXPECT_EQ(kept_values_per_token(model_.hyper, l), kept[l]) << l;
  const uint64_t most[] = {kept[0] + kept[1] + kept[2] + kept[3], kept[0], kept[0] + kept[1]};
  for (uint32_t every = 0; every < 3; ++every) {
    request_.checkpoint_every = every;
    EXPECT_EQ(size_training(model_, request_)->activations, 600u * 4 * (most[every] + kept[0]));
  }
}

TEST_F(Goals, TheLossNeverHoldsTheLogitsOfAllTokens) {
  EXPECT_EQ(size_training(model_, request_)->logits, 128u * 1000 * 4 * 2);
  request_.context = 50, request_.sequences = 1;
  EXPECT_EQ(size_training(model_, request_)->logits, 50u * 1000 * 4 * 2);
}

TEST_F(Goals, TheMapOfTrainingIsTheSumOfItsSizes) {
  const auto sizes = size_training(model_, request_);
  const auto map = plan_training(model_, request_);
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map->total_bytes() - map->find(owner::kProcess)->bytes,
            sizes->parameters + sizes->gradients + sizes->optimizer + sizes->checkpoints +
                sizes->activations + sizes->logits);
  request_.sequences = UINT32_MAX, request_.context = UINT32_MAX;
  EXPECT_EQ(plan_training(model_, request_).status().code(), Code::kDoesNotFit);
}

TEST_F(Goals, CompressionTakesWhatItsLargestStageTakes) {
  model_.tensors[0].shape[0] = 320;  // Q4_0 divides it, 10 blocks a row
  model_.hyper.width = 320, model_.hyper.n_layers = 40;
  Tensor& layer = model_.tensors.emplace_back();
  layer.name = "layer", layer.type = Type::F16, layer.n_dims = 2;
  layer.shape[0] = 320, layer.shape[1] = 1000;
  model_.output = model_.token_embedding = &model_.tensors[0];
  model_.layers.resize(40);
  for (LayerWeights& weights : model_.layers)
    weights.q = weights.k = weights.v = weights.gate = weights.up = &layer;
  const auto plan = plan_compression(model_, {.tokenizer_bytes = 1});
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan->streams);
  EXPECT_FALSE(plan->states_on_disk);
  // The undisturbed state and 201 disturbed ones, of 3 x 64 tokens; a coarse layer (180,000 bytes,
  // in lines of 64); of the head's 10,000 rows a coarse copy, three sets of 3 x 32 rows of logits,
  // and three sums for each row.
  EXPECT_EQ(
      plan->map.find(owner::kWorking)->bytes,
      202u * 3 * 64 * 320 * 4 + 180032 + 10000 * 10 * 18 + 3 * 96 * 10000 * 4 + 202 * 96 * 24);
  EXPECT_EQ(plan->map.find(owner::kImportance)->bytes, 81u * 320 * 4);
  EXPECT_EQ(plan->map.find(owner::kColumnScales)->bytes, 81u * 320 * 4);
  const auto fast = plan_compression(model_, {.effort = Effort::kFast, .tokenizer_bytes = 1});
  ASSERT_TRUE(fast.ok());
  EXPECT_LT(fast->map.find(owner::kWorking)->bytes, plan->map.find(owner::kWorking)->bytes / 2)
      << "one text of 64 tokens instead of three";
}

TEST_F(Goals, CompressionSaysTheLeastThatItNeeds) {
  model_.output = model_.token_embedding = &model_.tensors[0];
  const auto plan = plan_compression(model_, {.memory_bytes = 1});
  ASSERT_TRUE(plan.ok());
  const uint64_t least = plan->map.total_bytes();
  EXPECT_TRUE(check_fits(*plan, least).ok());
  const Status status = check_fits(*plan, least - 1);
  EXPECT_EQ(status.code(), Code::kDoesNotFit);
  EXPECT_NE(status.todo().find(std::to_string(least)), std::string::npos) << status.todo();
}

TEST_F(Goals, LessonsSayTheModelsOwnFigures) {
  InferenceRequest request;
  request.context = 200;
  const auto lessons = teach_memory(model_, request);
  ASSERT_TRUE(lessons.ok());
  std::string all;
  for (const Lesson& lesson : *lessons) all += lesson.title + "\n" + lesson.text + "\n";
  for (const char* figure : {"1,000,100 numbers", "16.00 bits", "KV cache: 156.2 KiB",
                             "10 heads share 5", "1,000 x 4 bytes", "16 bytes a weight"})
    EXPECT_NE(all.find(figure), std::string::npos) << figure << "\n" << all;
}

TEST_F(Goals, ThePageIsWholeAndHarmless) {
  PlanPage page;
  page.title = "<script>alert(1)</script>";
  page.goal = "run";
  page.map = *plan_inference(model_, {});
  page.budget_bytes = kGiB;
  page.budget_source = "--memory";
  const std::string html = html_page(page);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("http"), std::string::npos) << "no outside hosts";
  EXPECT_NE(html.find("<svg"), std::string::npos);
  EXPECT_NE(html.find(format_count(page.map.total_bytes())), std::string::npos);
  EXPECT_TRUE(html.ends_with("</html>\n"));
}

}  // namespace
}  // namespace enxuto
