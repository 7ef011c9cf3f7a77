#include "compress/covariance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "plan/compression_plan.h"

namespace enxuto {
namespace {

// (I + U) D (I + U)' is H, as it was measured and after its columns were scaled.
TEST(Covariance, ItsFactorsAreItsOwnAlsoWhereColumnsAreScaled) {
  constexpr int64_t kColumns = 160, kTokens = 400;
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  std::vector<float> x(kTokens * kColumns), ones(kTokens, 1.0f), scales(kColumns);
  for (size_t i = 0; i < x.size(); ++i) x[i] = normal(random) + (i > 0 ? 0.7f * x[i - 1] : 0.0f);
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
