// Sizes worked out by hand from C = 6 N D, D = 20 N.
#include "plan/training_proposal.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace enxuto {
namespace {

// C = 1.2e15 in an hour: N = sqrt(C / 120) = 3.16 million.
TrainingQuestion an_hour() {
  TrainingQuestion q;
  q.seconds = 3600, q.operations_per_second = 1.2e15 / 3600;
  q.memory_bytes = 8 * kGiB;
  q.request.sequences = 0, q.request.n_threads = 2;
  return q;
}

TEST(TrainingProposal, TimeBuysTwentyTokensForEachParameter) {
  const auto p = propose_training(an_hour());
  ASSERT_TRUE(p.ok()) << p.status().what();
  EXPECT_EQ(p->bound, Bound::kTime);
  EXPECT_EQ(p->vocabulary, 4096u);
  EXPECT_NEAR(static_cast<double>(p->parameters), 3.16e6, 0.5e6);
  EXPECT_EQ(p->parameters, parameters_of(p->shape, p->vocabulary));
  // 0.292 x 1.2e15 ^ 0.3271 = 25,000 tokens a step, 98 sequences of 256.
  EXPECT_EQ(p->request.context, 256u);
  EXPECT_NEAR(p->request.sequences, 98, 1);
  EXPECT_NEAR(training_operations(p->parameters, static_cast<double>(p->tokens)), 1.2e15, 2e12);
  EXPECT_NEAR(p->tokens_per_parameter(), 20, 7);
  EXPECT_LE(p->seconds, 3600);
  EXPECT_GT(p->seconds, 3590);
  EXPECT_EQ(p->epochs(), 0);
}

TEST(TrainingProposal, MoreTimeMakesAModelLargerByItsRoot) {
  TrainingQuestion q = an_hour();
  q.seconds *= 400;  // N = 63 million
  const auto p = propose_training(q);
  ASSERT_TRUE(p.ok()) << p.status().what();
  EXPECT_NEAR(static_cast<double>(p->parameters), 63e6, 8e6);
  EXPECT_EQ(p->vocabulary, 16384u);
  EXPECT_EQ(p->request.context, 1024u);
}

// A million bytes are a million tokens, read four times: 4 million, of 200,000 parameters.
TEST(TrainingProposal, LittleDataMakesASmallModelAndEndsEarly) {
  TrainingQuestion q = an_hour();
  q.data_bytes = 1'000'000;
  const auto p = propose_training(q);
  ASSERT_TRUE(p.ok()) << p.status().what();
  EXPECT_EQ(p->bound, Bound::kData);
  EXPECT_EQ(p->vocabulary, kByteVocabulary);
  EXPECT_NEAR(static_cast<double>(p->parameters), 200e3, 60e3);
  EXPECT_LE(p->epochs(), 4);
  EXPECT_GT(p->epochs(), 3.9);
  EXPECT_LT(p->seconds, 60);
}

TEST(TrainingProposal, LittleMemoryMakesASmallerModelThatReadsMore) {
  TrainingQuestion q = an_hour();
  const auto free = propose_training(q);
  q.request.context = 256;
  q.memory_bytes = 64 * kMiB;
  const auto p = propose_training(q);
  ASSERT_TRUE(free.ok() && p.ok()) << p.status().what();
  EXPECT_EQ(p->bound, Bound::kMemory);
  EXPECT_LE(p->map.total_bytes(), q.memory_bytes);
  EXPECT_LT(p->parameters, free->parameters);
  EXPECT_GT(p->tokens_per_parameter(), free->tokens_per_parameter());
  q.memory_bytes = 16 * kMiB;
  EXPECT_EQ(propose_training(q).status().code(), Code::kDoesNotFit);
}

// 10 million parameters in C = 1.2e15: 20 million tokens.
TEST(TrainingProposal, ASizeThatIsNamedStays) {
  TrainingQuestion q = an_hour();
  q.parameters = 10'000'000;
  const auto p = propose_training(q);
  ASSERT_TRUE(p.ok()) << p.status().what();
  EXPECT_NEAR(static_cast<double>(p->parameters), 10e6, 1e6);
  EXPECT_NEAR(static_cast<double>(p->tokens), 20e6, 2e6);
  EXPECT_EQ(p->bound, Bound::kTime);
  q.data_bytes = 8'000'000;  // 2.5 million tokens
  const auto little = propose_training(q);
  EXPECT_EQ(little->parameters, p->parameters);
  EXPECT_EQ(little->bound, Bound::kData);
  EXPECT_NEAR(little->epochs(), 4, 0.1);
  q.memory_bytes = 64 * kMiB;
  EXPECT_EQ(propose_training(q).status().code(), Code::kDoesNotFit);
}

TEST(TrainingProposal, WhatIsNamedIsTaken) {
  TrainingQuestion q = an_hour();
  q.vocabulary = 1000, q.request.context = 64, q.request.sequences = 10;
  const auto p = propose_training(q);
  ASSERT_TRUE(p.ok()) << p.status().what();
  EXPECT_EQ(p->vocabulary, 1000u);
  EXPECT_EQ(p->shape.context, 64u);
  EXPECT_EQ(p->request.sequences, 10u);
  EXPECT_EQ(p->tokens, p->steps * 640);
}

TEST(TrainingProposal, NoTimeIsOneStepOfTheSmallestModel) {
  TrainingQuestion q = an_hour();
  q.seconds = 1e-6, q.data_bytes = 1000;
  const auto p = propose_training(q);
  ASSERT_TRUE(p.ok()) << p.status().what();
  EXPECT_EQ(p->steps, 1u);
  EXPECT_EQ(p->bound, Bound::kTime) << "little data as there is, there is no time for it";
  EXPECT_LT(p->parameters, 200'000u);
}

TEST(StepsWithin, LeaveTimeForValidations) {
  EXPECT_EQ(steps_within(100, 0.5, 0), 200u);
  EXPECT_EQ(steps_within(100, 0.5, 0.1), 198u);  // 20 of them, of a tenth of a step
  EXPECT_EQ(steps_within(100, 0.5, 10), 190u);   // never more than a twentieth
  EXPECT_EQ(steps_within(0.1, 0.5, 10), 1u);
  EXPECT_EQ(steps_within(-5, 0.5, 10), 1u);
}

}  // namespace
}  // namespace enxuto
