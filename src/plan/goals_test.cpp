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

TEST_F(Goals, TrainingKeepsWeightsAndMomentsButOneLayersGradients) {
  const auto l = lay_out_training(model_, request_);
  ASSERT_TRUE(l.ok()) << l.status().what();
  EXPECT_EQ(l->n_parameters, 1'000'100u);
  EXPECT_EQ(l->parameters, 4'000'000u + 448);  // the norm's 400 bytes end at a cache line
  EXPECT_EQ(l->optimizer, 8'000'000u + 832);
  EXPECT_EQ(l->gradients, 1000u * 100 * 4);  // a vocabulary of 1,000; the layers have no tensors
  EXPECT_EQ(l->embedded, 600u * 100 * 4);
  EXPECT_EQ(l->checkpoints, 4u * (600 * 100 * 2 + 0));
  EXPECT_EQ(l->states, 2u * 600 * 100 * 4);
  request_.optimizer = Optimizer::kAdamW8bit;
  // A byte for each moment, and for each row of 100 a scale of 4.
  EXPECT_EQ(lay_out_training(model_, request_)->optimizer, 2u * (1'000'000 + 40'000) + 256);
  // Two moments of each row, one for each group of rows, and a vector's as AdamW's.
  request_.optimizer = Optimizer::kApollo;
  const uint64_t next_to_none = lay_out_training(model_, request_)->optimizer;
  EXPECT_LT(next_to_none, 8u * 10'000 + 1024);
  request_.ranks = 2;
  EXPECT_EQ(lay_out_training(model_, request_)->optimizer, next_to_none) << "not shared out";
  request_.weights = Type::BF16;
  EXPECT_EQ(lay_out_training(model_, request_)->parameters, 2'000'000u + 448);
}

TEST_F(Goals, ActivationsAreKeptWhereThatIsAskedFor) {
  const uint64_t least = plan_training(model_, request_)->total_bytes();
  request_.keeps_activations = true;
  // Of 600 tokens in 4 layers without a gate: 10 x (10 + 10 + 1), 5 x 20, 100 and 300 values.
  constexpr uint64_t kKept = 4 * 600 * 710 * 4;
  const auto map = plan_training(model_, request_);
  EXPECT_EQ(map->find(owner::kKeptActivations)->bytes, kKept);
  EXPECT_EQ(map->total_bytes(), least + kKept);
  request_.pass_sequences = 2;  // two passes, the second one as large
  EXPECT_EQ(lay_out_training(model_, request_)->activations, kKept / 3 * 4);
  EXPECT_NE(fit_training(model_, request_, least).status().todo().find("no --keep-activations"),
            std::string::npos);
}

TEST_F(Goals, AStepRunsInPassesThatFit) {
  EXPECT_EQ(lay_out_training(model_, request_)->pass_sequences, 3u);
  request_.sequences = 100;
  EXPECT_EQ(lay_out_training(model_, request_)->pass_sequences, kPassTokens / 200);
  request_.pass_sequences = 1;
  const uint64_t least = plan_training(model_, request_)->total_bytes();
  request_.pass_sequences = 0;
  ASSERT_GT(plan_training(model_, request_)->total_bytes(), least);
  const auto fitting = fit_training(model_, request_, least);
  ASSERT_TRUE(fitting.ok()) << fitting.status().what();
  EXPECT_EQ(fitting->pass_sequences, 1u);
  const Status too_much = fit_training(model_, request_, least - 1).status();
  EXPECT_EQ(too_much.code(), Code::kDoesNotFit);
  EXPECT_NE(too_much.todo().find("with --optimizer adamw8 it takes"), std::string::npos)
      << too_much.todo();
}

// Of ranks that have no room for all of the parameters each keeps some rows of the matrices.
TEST_F(Goals, RanksShareParametersWhereTheyDoNotFit) {
  request_.ranks = 2, request_.sequences = 2;
  model_.token_embedding = model_.output = &model_.tensors[0];
  const uint64_t whole = plan_training(model_, request_)->total_bytes();
  EXPECT_FALSE(fit_training(model_, request_, whole)->shares_parameters);
  const auto shared = fit_training(model_, request_, whole - 1);
  ASSERT_TRUE(shared.ok()) << shared.status().what();
  EXPECT_TRUE(shared->shares_parameters);
  const auto l = lay_out_training(model_, *shared);
  EXPECT_EQ(l->parameters, 2'000'000u + 448);  // norms stay whole
  EXPECT_EQ(l->gathered, 4096u * 100 * 4);
  EXPECT_EQ(plan_training(model_, *shared)->total_bytes(), whole - 2'000'000 + l->gathered);
  request_.ranks = 1;
  EXPECT_FALSE(fit_training(model_, request_, whole / 2).ok());
}

TEST_F(Goals, WhatALayerComputesOfATokenIsCounted) {
  // 4 x 100, 10 x (10 + 10 + 1), 5 x 20 and 3 x 300 values.
  EXPECT_EQ(kept_values_per_token(model_.hyper, 0), 1610u);
  model_.hyper.uneven = {{10, 5, 300}, {0, 0, 300}, {10, 5, 100}, {5, 5, 300}};
  const uint64_t kept[] = {1610, 1100, 1010, 1505};
  for (uint32_t l = 0; l < 4; ++l) EXPECT_EQ(kept_values_per_token(model_.hyper, l), kept[l]) << l;
}

TEST_F(Goals, TrainingBeyondReasonIsRefused) {
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
                             "10 heads share 5", "1,000 x 4 bytes", "used up before the next"})
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
