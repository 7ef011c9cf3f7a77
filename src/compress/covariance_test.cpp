#include "compress/covariance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "plan/compression_plan.h"

namespace enxuto {
namespace {

constexpr int64_t kColumns = 160, kTokens = 400;

// Inputs (kTokens, kColumns) whose neighbours are alike.
std::vector<float> inputs(std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> x(kTokens * kColumns);
  for (size_t i = 0; i < x.size(); ++i) x[i] = normal(random) + (i > 0 ? 0.7f * x[i - 1] : 0.0f);
  return x;
}

// What columns carry becomes as told, what they have in common stays, also beside a column that
// carried nothing: it has nothing in common with others.
TEST(Covariance, EnergiesChangeAndCorrelationsStay) {
  constexpr int64_t kDead = 7;
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  std::vector<float> x = inputs(random), ones(kTokens, 1.0f), wanted(kColumns), now(kColumns);
  for (int64_t t = 0; t < kTokens; ++t) x[t * kColumns + kDead] = 0;
  for (float& energy : wanted) energy = std::exp(3 * normal(random));
  const auto dense = Dense::load();
  ASSERT_TRUE(dense.ok()) << dense.status().what();
  std::vector<float> memory(*covariance_bytes(kColumns) / sizeof(float)), before(kColumns);
  Covariance covariance(*dense, kColumns, memory);
  ThreadTeam team(2);
  covariance.clear();
  covariance.add(team, x.data(), kColumns, kTokens, ones.data());
  const auto& h = covariance.blocks().front();
  const std::vector<float> was(h.matrix, h.matrix + kColumns * kColumns);
  covariance.diagonal(before);
  covariance.set_energies(team, wanted);
  covariance.diagonal(now);
  double sum_before = 0, sum_now = 0;
  for (int64_t i = 0; i < kColumns; ++i) {
    sum_before += before[i], sum_now += now[i];
    EXPECT_NEAR(now[i] / now[0], wanted[i] / wanted[0], 1e-5 * wanted[i] / wanted[0]);
    for (int64_t j = 0; j < i; ++j) {
      const double size = std::sqrt(double{before[i]} * before[j]);
      const double expected = size > 0 ? was[i * kColumns + j] / size : 0;
      ASSERT_NEAR(h.matrix[i * kColumns + j] / std::sqrt(double{now[i]} * now[j]), expected, 1e-5);
    }
  }
  EXPECT_NEAR(sum_now, sum_before, 1e-5 * sum_before);
  covariance.factor(team);
  for (const float d : covariance.conditional()) EXPECT_GT(d, 0);
}

// (I + U) D (I + U)' is H, as it was measured and after its columns were scaled.
TEST(Covariance, ItsFactorsAreItsOwnAlsoWhereColumnsAreScaled) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  const std::vector<float> x = inputs(random), ones(kTokens, 1.0f);
  std::vector<float> scales(kColumns);
  for (float& scale : scales) scale = std::exp(normal(random));
  const auto dense = Dense::load();
  ASSERT_TRUE(dense.ok()) << dense.status().what();
  std::vector<float> memory(*covariance_bytes(kColumns) / sizeof(float)), diagonal(kColumns);
  Covariance covariance(*dense, kColumns, memory);
  ThreadTeam team(2);
  covariance.clear();
  covariance.add(team, x.data(), kColumns, kTokens, ones.data());
  covariance.factor(team);
  const auto& h = covariance.blocks().front();
  const std::vector<float> before(h.matrix, h.matrix + kColumns * kColumns);
  for (const bool scaled : {false, true}) {
    if (scaled) covariance.scale(team, scales);
    covariance.diagonal(diagonal);
    for (int64_t i = 0; i < kColumns; ++i)
      for (int64_t j = 0; j <= i; ++j) {
        double product = 0;
        for (int64_t k = i; k < kColumns; ++k) {
          const double left = k == i ? 1 : h.matrix[i * kColumns + k];
          const double right = k == j ? 1 : h.matrix[j * kColumns + k];
          product += left * covariance.conditional()[k] * right;
        }
        const double expected =
            before[i * kColumns + j] * (scaled ? double{scales[i]} * scales[j] : 1.0);
        const double size = std::sqrt(double{diagonal[i]} * diagonal[j]);
        ASSERT_NEAR(product, expected, 1e-4 * size) << i << " " << j;
        ASSERT_NEAR(h.matrix[i * kColumns + j], expected, 1e-6 * size) << i << " " << j;
      }
  }
}

}  // namespace
}  // namespace enxuto
