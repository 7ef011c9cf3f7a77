#include "cli/remaining_time.h"

#include <gtest/gtest.h>

namespace enxuto {
namespace {

RemainingTime three() {
  return RemainingTime({{"reading", 10}, {"thinking", 30}, {"writing", 60}});
}

TEST(RemainingTime, IsTheForecastWhereThatHolds) {
  RemainingTime time = three();
  time.see("reading", 0, 0);
  EXPECT_DOUBLE_EQ(time.seconds_left(), 100);
  time.see("reading", 1, 10);
  time.see("thinking", 0, 10);
  time.see("thinking", 0.5, 25);
  EXPECT_DOUBLE_EQ(time.done(), 0.25);
  EXPECT_NEAR(time.seconds_left(), 75, 1e-9);
}

TEST(RemainingTime, LearnsThatAllIsSlower) {
  RemainingTime time = three();
  time.see("reading", 0, 0);
  time.see("reading", 1, 30);
  time.see("thinking", 0, 30);
  time.see("thinking", 1, 120);
  EXPECT_NEAR(time.seconds_left(), 180, 20);
  EXPECT_DOUBLE_EQ(time.done(), 0.4);
}

TEST(RemainingTime, WhatWasLeftOutTookNoTime) {
  RemainingTime time = three();
  time.see("writing", 0, 0.1);
  EXPECT_DOUBLE_EQ(time.done(), 0.4);
  EXPECT_NEAR(time.seconds_left(), 60, 2);
  time.see("writing", 0.5, 30);
  EXPECT_NEAR(time.seconds_left(), 30, 2);
  time.see("something else", 0.5, 31);
  EXPECT_DOUBLE_EQ(time.done(), 0.7);
}

TEST(RemainingTime, AStageThatGoesOnCountsFromThere) {
  RemainingTime time = three();  // 30 seconds are what is left of thinking
  time.see("thinking", 0.5, 0);
  EXPECT_DOUBLE_EQ(time.done(), 0.1);
  time.see("thinking", 0.75, 15);
  EXPECT_DOUBLE_EQ(time.done(), 0.25);
  EXPECT_NEAR(time.seconds_left(), 75, 1e-9);
}

TEST(RoughTime, IsRoundedAsEstimatesAre) {
  EXPECT_EQ(rough_time(3), "a few seconds");
  EXPECT_EQ(rough_time(42), "about 40 s");
  EXPECT_EQ(rough_time(700), "about 12 min");
  EXPECT_EQ(rough_time(7900), "about 2 h 10 min");
}

}  // namespace
}  // namespace enxuto
