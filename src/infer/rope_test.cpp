#include "infer/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace enxuto {
namespace {

// The definition, pair by pair: (a, b) as a complex number, times e^(i angle).
void expect_turned(RopeLayout layout, uint32_t position, const float* before, const float* after) {
  for (int i = 0; i < 2; ++i) {
    const double angle = position * std::pow(10000.0, -2.0 * i / 4);
    const int a = layout == RopeLayout::kInterleaved ? 2 * i : i;
    const int b = layout == RopeLayout::kInterleaved ? a + 1 : i + 2;
    EXPECT_NEAR(after[a], before[a] * std::cos(angle) - before[b] * std::sin(angle), 1e-5);
    EXPECT_NEAR(after[b], before[a] * std::sin(angle) + before[b] * std::cos(angle), 1e-5);
  }
}

TEST(Rope, TurnsPairsOfBothLayoutsAndBackAndLeavesTheRest) {
  const float head[6] = {1, 2, 3, 4, 5, 6};
  for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalves}) {
    const Rope rope(layout, 4, 10000, 1, nullptr);
    float angles[3 * 4], turned[6];
    rope.fill(1000, 3, angles);
    std::copy(head, head + 6, turned);
    rope.turn(angles + 2 * 4, turned);
    expect_turned(layout, 1002, head, turned);
    EXPECT_EQ(turned[4], 5);
    EXPECT_EQ(turned[5], 6);
    rope.turn_back(angles + 2 * 4, turned);
    for (int i = 0; i < 6; ++i) EXPECT_NEAR(turned[i], head[i], 1e-6);
  }
}

TEST(Rope, ScaleAndFactorsDivideTheAngle) {
  const float factors[1] = {2};
  const Rope plain(RopeLayout::kHalves, 2, 10000, 1, nullptr);
  const Rope scaled(RopeLayout::kHalves, 2, 10000, 4, factors);
  float slow[2], fast[2];
  plain.fill(3, 1, slow);
  scaled.fill(24, 1, fast);
  EXPECT_FLOAT_EQ(slow[0], fast[0]);
  EXPECT_FLOAT_EQ(slow[1], fast[1]);
}

}  // namespace
}  // namespace enxuto
