#include "kernels/plain_steps.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/float16.h"
#include "kernels/random_floats.h"

namespace enxuto {
namespace {

constexpr int64_t kCount = 256;

TEST(PlainSteps, AnAverageForgetsExponentially) {
  float average = 0;
  double exact = 3;
  const float first = 3;
  average_step(1, &first, 1, &average);
  EXPECT_EQ(average, 3) << "the first one is taken whole";
  for (const float w : {5.0f, -2.0f, 0.5f}) {
    average_step(0.25f, &w, 1, &average);
    exact = 0.75 * exact + 0.25 * w;
  }
  EXPECT_NEAR(average, exact, 1e-6);
  const uint16_t half = f32_to_bf16(-2);
  average_step(0.25f, &half, 1, &average);
  EXPECT_NEAR(average, 0.75 * exact - 0.5, 1e-6);
}

TEST(PlainSteps, WhatIsExchangedComesBackBitForBit) {
  std::vector<float> average = random_floats(kCount, 1);
  average[0] = 0, average[1] = -0.0f, average[2] = 1e-39f, average[3] = 3e38f;
  std::vector<uint16_t> w(kCount);
  for (size_t i = 0; i < kCount; ++i) w[i] = static_cast<uint16_t>(i * 257);
  const auto average_before = average;
  const auto w_before = w;
  exchange_halves(kCount, w.data(), average.data());
  for (size_t i = 0; i < kCount; ++i)
    EXPECT_NEAR(bf16_to_f32(w[i]), average_before[i], std::fabs(average_before[i]) / 256 + 1e-38);
  take_back_halves(kCount, w.data(), average.data());
  EXPECT_EQ(w, w_before);
  EXPECT_EQ(std::memcmp(average.data(), average_before.data(), kCount * sizeof(float)), 0);
}

TEST(PlainSteps, ProjectedMomentsAreAdamsAndToldInSquares) {
  AdamRates rates = {0.01f, 1, 0.9f, 0.95f, 1e-8f, 1, 1, 0.5f};
  std::vector<float> m(kCount), v(kCount), r;
  std::vector<double> em(kCount), ev(kCount);
  ProjectedSquares told{};
  for (uint64_t t = 1; t <= 5; ++t) {
    r = random_floats(kCount, 30 + t);
    told = projected_moments(rates, r.data(), kCount, m.data(), v.data());
    for (size_t i = 0; i < kCount; ++i) {
      em[i] = 0.9 * em[i] + 0.1 * 0.5 * r[i];
      ev[i] = 0.95 * ev[i] + 0.05 * 0.25 * r[i] * r[i];
    }
  }
  double step = 0, all = 0;
  for (size_t i = 0; i < kCount; ++i) {
    EXPECT_NEAR(m[i], em[i], 1e-6);
    EXPECT_NEAR(v[i], ev[i], 1e-6);
    step += em[i] * em[i] / std::pow(std::sqrt(ev[i]) + 1e-8, 2);
    all += 0.25 * r[i] * r[i];
  }
  EXPECT_NEAR(told.step, step, 1e-4 * step);
  EXPECT_NEAR(told.r, all, 1e-5 * all);
}

TEST(PlainSteps, APlainStepDecaysAndFollowsTheGradient) {
  float w = 2;
  const float g = 3;
  plain_step(0.5f, 0.1f, &g, 1, &w);
  EXPECT_FLOAT_EQ(w, 0.5f * 2 - 0.1f * 3);
}

}  // namespace
}  // namespace enxuto
