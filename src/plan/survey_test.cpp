#include "plan/survey.h"

#include <gtest/gtest.h>

#include "plan/compression_plan.h"

namespace enxuto {
namespace {

// A model of so many layers with two matrices each, and a head that is the embedding.
class SurveyTest : public testing::Test {
 protected:
  void set_up(uint32_t n_layers) {
    HyperParameters& h = model_.hyper;
    h.n_layers = n_layers, h.width = h.trained_context = 64;
    h.n_heads = h.n_kv_heads = 2, h.key_dim = h.value_dim = 32;
    model_.tensors.assign(2 * n_layers + 1, {});
    for (Tensor& tensor : model_.tensors)
      tensor.type = Type::F16, tensor.shape[0] = 64, tensor.shape[1] = 32;
    model_.layers.assign(n_layers, {});
    for (uint32_t l = 0; l < n_layers; ++l)
      model_.layers[l].q = &up(l) + 1, model_.layers[l].up = &up(l);
    model_.output = model_.token_embedding = &model_.tensors.back();
  }
  Tensor& up(uint32_t layer) { return model_.tensors[2 * layer]; }

  std::vector<uint32_t> layers(const Survey& survey) {
    std::vector<uint32_t> found;
    for (uint32_t l = 0; l < model_.hyper.n_layers; ++l)
      if (survey.has(up(l))) found.push_back(l);
    return found;
  }
  using Layers = std::vector<uint32_t>;
  Model model_;
};

TEST_F(SurveyTest, TakesFewerLayersTheDeeperTheyLie) {
  set_up(28);
  EXPECT_EQ(layers(Survey(model_, false)), (Layers{0, 1, 2, 5, 9, 14, 20, 27}));
  EXPECT_EQ(Survey(model_, false).size(), 2 * 8 + 1u);
  EXPECT_EQ(Survey(model_, true).size(), 2 * 28 + 1u);
  EXPECT_TRUE(Survey(model_, false).has(*model_.output));
  set_up(30);
  EXPECT_EQ(layers(Survey(model_, false)), (Layers{0, 1, 2, 5, 9, 14, 20, 27, 29}));
  set_up(4);
  EXPECT_EQ(layers(Survey(model_, false)), (Layers{0, 1, 2, 3}));
  set_up(1);
  EXPECT_EQ(layers(Survey(model_, false)), Layers{0});
}

TEST_F(SurveyTest, TheOthersLieBetweenTheNearestOfTheirKind) {
  set_up(28);
  const Survey survey(model_, false);
  EXPECT_EQ(survey.place(up(12)).before, &up(9));
  EXPECT_EQ(survey.place(up(12)).after, &up(14));
  EXPECT_DOUBLE_EQ(survey.place(up(12)).way, 3.0 / 5);
  EXPECT_EQ(survey.place(up(14)).before, &up(14));
  EXPECT_EQ(survey.place(up(14)).after, &up(14));
}

// As in models that are quantized already, or whose layers are not all of one width.
TEST_F(SurveyTest, AnotherFormatOrShapeIsAnotherKind) {
  set_up(12);
  up(3).type = up(4).type = up(7).type = up(10).type = Type::Q6_K;
  up(6).shape[1] = 96;
  const Survey survey(model_, false);
  // 3, 4, 7 and 10 are all surveyed; of 0, 1, 2, 5, 8, 9 and 11 the first, second, third, sixth
  // and last.
  EXPECT_EQ(layers(survey), (Layers{0, 1, 2, 3, 4, 6, 7, 9, 10, 11}));
  EXPECT_EQ(survey.place(up(8)).before, &up(2));
  EXPECT_EQ(survey.place(up(8)).after, &up(9));
  EXPECT_DOUBLE_EQ(survey.place(up(8)).way, 6.0 / 7);
}

TEST_F(SurveyTest, WhatHasNoProbeIsSurveyed) {
  set_up(12);
  for (uint32_t l = 0; l < 12; ++l) up(l).shape[0] = 63;
  EXPECT_EQ(layers(Survey(model_, false)).size(), 12u);
  for (uint32_t l = 0; l < 12; ++l) up(l).shape[0] = 64, up(l).type = Type::Q4_0;
  EXPECT_EQ(layers(Survey(model_, false)).size(), 12u);
}

TEST_F(SurveyTest, IsOfAllExceptAtTheFastEffort) {
  set_up(28);
  for (const auto& [effort, size] :
       {std::pair{Effort::kFast, 17u}, {Effort::kNormal, 57u}, {Effort::kBest, 57u}}) {
    const auto plan = plan_compression(model_, {.effort = effort, .tokenizer_bytes = 1});
    ASSERT_TRUE(plan.ok()) << plan.status().what();
    EXPECT_EQ(plan->survey.size(), size);
  }
}

}  // namespace
}  // namespace enxuto
