#include "kernels/optimizer_steps.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/float16.h"
#include "kernels/random_floats.h"

namespace enxuto {
namespace {

constexpr int64_t kCount = 256;

TEST(OptimizerSteps, AdamIsThePapersInDouble) {
  const AdamRates rates = {0.01f, 1 - 0.01f * 0.1f, 0.9f, 0.95f, 1e-8f, 1, 1, 0.5f};
  std::vector<float> w = random_floats(kCount, 1), m(kCount), v(kCount);
  std::vector<double> exact(w.begin(), w.end()), em(kCount), ev(kCount);
  for (int t = 1; t <= 5; ++t) {
    const std::vector<float> g = random_floats(kCount, 10 + static_cast<uint64_t>(t));
    AdamRates now = rates;
    now.mean_scale = static_cast<float>(1 / (1 - std::pow(0.9, t)));
    now.root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(0.95, t)));
    adam_step(now, g.data(), kCount, w.data(), m.data(), v.data());
    for (size_t i = 0; i < kCount; ++i) {
      const double gradient = 0.5 * g[i];
      em[i] = 0.9 * em[i] + 0.1 * gradient;
      ev[i] = 0.95 * ev[i] + 0.05 * gradient * gradient;
      const double mean = em[i] / (1 - std::pow(0.9, t)), square = ev[i] / (1 - std::pow(0.95, t));
      exact[i] = exact[i] * (1 - 0.01 * 0.1) - 0.01 * mean / (std::sqrt(square) + 1e-8);
    }
  }
  for (size_t i = 0; i < kCount; ++i) EXPECT_NEAR(w[i], exact[i], 1e-5);
}

TEST(OptimizerSteps, AnAverageForgetsExponentially) {
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

TEST(OptimizerSteps, WhatIsExchangedComesBackBitForBit) {
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

TEST(OptimizerSteps, SgdKeepsItsMomentum) {
  float w = 1, m = 2;
  const float g = 3;
  sgd_step({0.1f, 1, 0.9f, 2}, &g, 1, &w, &m);
  EXPECT_FLOAT_EQ(m, 0.9f * 2 + 2 * 3);
  EXPECT_FLOAT_EQ(w, 1 - 0.1f * m);
}

TEST(OptimizerSteps, ProjectedMomentsAreAdamsAndToldInSquares) {
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

TEST(OptimizerSteps, APlainStepDecaysAndFollowsTheGradient) {
  float w = 2;
  const float g = 3;
  plain_step(0.5f, 0.1f, &g, 1, &w);
  EXPECT_FLOAT_EQ(w, 0.5f * 2 - 0.1f * 3);
}

// What chance rounds is right on average, and never far.
template <class Rounded>
void expect_fair(const std::vector<float>& values, float most_off, const Rounded& rounded) {
  constexpr int kTimes = 4000;
  std::vector<double> sums(values.size());
  for (int time = 0; time < kTimes; ++time) {
    const std::vector<float> once = rounded(Chance{static_cast<uint32_t>(time) * 2654435761u});
    for (size_t i = 0; i < values.size(); ++i) {
      sums[i] += once[i];
      EXPECT_LE(std::fabs(once[i] - values[i]), most_off * std::fabs(values[i]) + most_off * 1e-3);
    }
  }
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(sums[i] / kTimes, values[i], 0.1 * most_off * std::fabs(values[i]) + 1e-5) << i;
}

TEST(OptimizerSteps, WeightsAreRoundedUpOrDownByChance) {
  const std::vector<float> values = {1.001f, -0.3333f, 1e-20f, 0, 123.456f};
  expect_fair(values, 0x1p-7f, [&](const Chance& chance) {
    std::vector<uint16_t> halves(values.size());
    round_to_bf16(values.data(), static_cast<int64_t>(values.size()), chance, halves.data());
    std::vector<float> back;
    for (const uint16_t half : halves) back.push_back(bf16_to_f32(half));
    return back;
  });
}

TEST(OptimizerSteps, NumbersThatAreNoneStaySo) {
  const float values[] = {INFINITY, -INFINITY, NAN};
  uint16_t halves[3];
  round_to_bf16(values, 3, {1}, halves);
  EXPECT_EQ(bf16_to_f32(halves[0]), INFINITY);
  EXPECT_EQ(bf16_to_f32(halves[1]), -INFINITY);
  EXPECT_TRUE(std::isnan(bf16_to_f32(halves[2])));
}

TEST(OptimizerSteps, MomentsInEightBitsAreRightOnAverage) {
  const std::vector<float> means = {1, -0.5f, 0.2f, 0.1f, -0.05f, 0};
  expect_fair(means, 0.2f, [&](const Chance& chance) {
    std::vector<int8_t> codes(means.size());
    std::vector<float> back(means.size());
    float scale;
    encode_mean(means.data(), 6, chance, codes.data(), &scale);
    decode_mean(codes.data(), scale, 6, back.data());
    return back;
  });
  const std::vector<float> squares = {1, 0.5f, 0.2f, 0.1f, 0.05f, 0};
  expect_fair(squares, 0.2f, [&](const Chance& chance) {
    std::vector<uint8_t> codes(squares.size());
    std::vector<float> back(squares.size());
    float scale;
    encode_square(squares.data(), 6, chance, codes.data(), &scale);
    decode_square(codes.data(), scale, 6, back.data());
    return back;
  });
}

// Else a mean that is not nothing would be divided by nothing.
TEST(OptimizerSteps, SquaresAreNeverRoundedToNothing) {
  const float squares[] = {1, 1e-20f, 0};
  for (uint32_t seed = 0; seed < 100; ++seed) {
    uint8_t codes[3];
    float scale;
    encode_square(squares, 3, {seed}, codes, &scale);
    EXPECT_EQ(codes[0], 255);
    EXPECT_EQ(codes[1], 1);
    EXPECT_EQ(codes[2], 0);
  }
}

}  // namespace
}  // namespace enxuto
