// Long runs in few points.
#include "cli/train_history.h"

#include <gtest/gtest.h>

#include "platform/scratch_folder.h"

namespace enxuto {
namespace {

std::string line(uint64_t step, double loss, const std::string& more = "") {
  return fmt::format("{{\"step\":{},\"loss\":{},\"lr\":0.5,\"tokens\":10,\"seconds\":2.0{}}}\n",
                     step, loss, more);
}

TEST(TrainHistory, KeepsEachStepOfAShortRun) {
  const ScratchFolder folder;
  folder.write("m.jsonl", line(1, 4) + line(2, 3, ",\"validation_loss\":3.5,\"sample\":\"so\"") +
                              line(3, 2) + "{\"step\": 4, \"lo");
  const auto history = read_train_history(folder.path("m.jsonl"));
  ASSERT_TRUE(history.ok());
  ASSERT_EQ(history->points.size(), 3u);
  EXPECT_EQ(history->points[2].loss, 2);
  EXPECT_EQ(history->points[2].tokens, 30u);
  EXPECT_EQ(history->points[2].tokens_per_second(), 5);
  ASSERT_EQ(history->validations.size(), 1u);
  EXPECT_EQ(history->validations[0].tokens, 20u);
  ASSERT_EQ(history->samples.size(), 1u);
  EXPECT_EQ(history->samples[0].text, "so");
}

TEST(TrainHistory, KeepsMeansOfALongRun) {
  constexpr uint64_t kSteps = 5001;
  const ScratchFolder folder;
  std::string text;
  for (uint64_t step = 1; step <= kSteps; ++step)
    text += line(step, step % 2 ? 1 : 3, fmt::format(",\"validation_loss\":{}", step));
  folder.write("m.jsonl", text);
  const auto history = read_train_history(folder.path("m.jsonl"));
  ASSERT_TRUE(history.ok());
  EXPECT_LE(history->points.size(), TrainHistory::kMostPoints);
  EXPECT_GT(history->points.size(), TrainHistory::kMostPoints / 4);
  uint64_t next = 1;
  for (const auto& point : history->points) {
    EXPECT_EQ(point.first_step, next);
    EXPECT_EQ(point.tokens, 10 * point.last_step);
    EXPECT_EQ(point.tokens_per_second(), 5);
    next = point.last_step + 1;
    if (next > kSteps) break;  // the last one may be of fewer steps
    EXPECT_EQ(point.loss, 2);
    EXPECT_EQ(point.least_loss, 1);
    EXPECT_EQ(point.most_loss, 3);
  }
  EXPECT_EQ(next, kSteps + 1);
  EXPECT_LE(history->validations.size(), TrainHistory::kMostPoints);
  EXPECT_EQ(history->validations.back().step, kSteps);
}

}  // namespace
}  // namespace enxuto
