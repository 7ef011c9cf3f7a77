// Every table: the papers' steps, and fairness of what chance rounds.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "base/float16.h"
#include "kernels/kernels.h"
#include "kernels/random_floats.h"

namespace enxuto {
namespace {

constexpr int64_t kCount = 256;

class OptimizerSteps : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& k = *GetParam();
};

TEST_P(OptimizerSteps, AdamIsThePapersInDouble) {
  const AdamRates rates = {0.01f, 1 - 0.01f * 0.1f, 0.9f, 0.95f, 1e-8f, 1, 1, 0.5f};
  std::vector<float> w = random_floats(kCount, 1), m(kCount), v(kCount);
  std::vector<double> exact(w.begin(), w.end()), em(kCount), ev(kCount);
  for (int t = 1; t <= 5; ++t) {
    const std::vector<float> g = random_floats(kCount, 10 + static_cast<uint64_t>(t));
    AdamRates now = rates;
    now.mean_scale = static_cast<float>(1 / (1 - std::pow(0.9, t)));
    now.root_scale = static_cast<float>(1 / std::sqrt(1 - std::pow(0.95, t)));
    k.adam_step(now, g.data(), kCount, w.data(), m.data(), v.data());
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

TEST_P(OptimizerSteps, SgdKeepsItsMomentum) {
  float w = 1, m = 2;
  const float g = 3;
  k.sgd_step({0.1f, 1, 0.9f, 2}, &g, 1, &w, &m);
  EXPECT_FLOAT_EQ(m, 0.9f * 2 + 2 * 3);
  EXPECT_FLOAT_EQ(w, 1 - 0.1f * m);
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

TEST_P(OptimizerSteps, WeightsAreRoundedUpOrDownByChance) {
  const std::vector<float> values = {1.001f, -0.3333f, 1e-20f, 0, 123.456f};
  expect_fair(values, 0x1p-7f, [&](const Chance& chance) {
    std::vector<uint16_t> halves(values.size());
    k.round_by_chance(values.data(), static_cast<int64_t>(values.size()), chance, halves.data());
    std::vector<float> back;
    for (const uint16_t half : halves) back.push_back(bf16_to_f32(half));
    return back;
  });
}

TEST_P(OptimizerSteps, NumbersThatAreNoneStaySo) {
  const float values[] = {INFINITY, -INFINITY, NAN, std::bit_cast<float>(0x7f800001)};
  uint16_t by_chance[4], nearest[4];
  k.round_by_chance(values, 4, {1}, by_chance);
  k.round_to_bf16(values, 4, nearest);
  for (const uint16_t* halves : {by_chance, nearest}) {
    EXPECT_EQ(bf16_to_f32(halves[0]), INFINITY);
    EXPECT_EQ(bf16_to_f32(halves[1]), -INFINITY);
    EXPECT_TRUE(std::isnan(bf16_to_f32(halves[2])));
    EXPECT_TRUE(std::isnan(bf16_to_f32(halves[3])));
  }
}

TEST_P(OptimizerSteps, MomentsInEightBitsAreRightOnAverage) {
  const std::vector<float> means = {1, -0.5f, 0.2f, 0.1f, -0.05f, 0};
  expect_fair(means, 0.2f, [&](const Chance& chance) {
    std::vector<int8_t> codes(means.size());
    std::vector<float> back(means.size());
    float scale;
    k.encode_mean(means.data(), 6, chance, codes.data(), &scale);
    k.decode_mean(codes.data(), scale, 6, back.data());
    return back;
  });
  const std::vector<float> squares = {1, 0.5f, 0.2f, 0.1f, 0.05f, 0};
  expect_fair(squares, 0.2f, [&](const Chance& chance) {
    std::vector<uint8_t> codes(squares.size());
    std::vector<float> back(squares.size());
    float scale;
    k.encode_square(squares.data(), 6, chance, codes.data(), &scale);
    k.decode_square(codes.data(), scale, 6, back.data());
    return back;
  });
}

// Else a mean that is not nothing would be divided by nothing.
TEST_P(OptimizerSteps, SquaresAreNeverRoundedToNothing) {
  const float squares[] = {1, 1e-20f, 0};
  for (uint32_t seed = 0; seed < 100; ++seed) {
    uint8_t codes[3];
    float scale;
    k.encode_square(squares, 3, {seed}, codes, &scale);
    EXPECT_EQ(codes[0], 255);
    EXPECT_EQ(codes[1], 1);
    EXPECT_EQ(codes[2], 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, OptimizerSteps,
                         ::testing::ValuesIn(available_kernels().begin(),
                                             available_kernels().end()),
                         [](const auto& table) { return std::string(table.param->isa); });

}  // namespace
}  // namespace enxuto
