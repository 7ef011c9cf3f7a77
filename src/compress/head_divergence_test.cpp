#include "compress/head_divergence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace enxuto {
namespace {

// In one piece, in double, by the definition.
double kld_by_definition(const std::vector<float>& z, const std::vector<float>& other) {
  double sum = 0, other_sum = 0, kld = 0;
  for (size_t i = 0; i < z.size(); ++i) sum += std::exp(z[i]), other_sum += std::exp(other[i]);
  for (size_t i = 0; i < z.size(); ++i)
    kld += std::exp(z[i]) / sum * ((z[i] - std::log(sum)) - (other[i] - std::log(other_sum)));
  return kld;
}

TEST(HeadDivergence, SlicesGiveTheWhole) {
  constexpr size_t kVocabulary = 5000;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const float spread : {0.5f, 4.0f})
    for (const float disturbance : {0.01f, 0.3f}) {
      std::vector<float> z(kVocabulary), other(kVocabulary), weights(kVocabulary);
      for (size_t i = 0; i < kVocabulary; ++i) {
        // Growing, so that later slices hold larger logits than all before.
        z[i] = spread * normal(random) + 10.0f * static_cast<float>(i) / kVocabulary;
        other[i] = z[i] + disturbance * normal(random);
      }
      ReferenceRow reference;
      DisturbedRow row;
      const auto part = [](std::vector<float>& v, size_t at, size_t n) {
        return std::span<float>(v).subspan(at, n);
      };
      for (size_t at = 0; at < kVocabulary; at += 700) {
        const size_t n = std::min<size_t>(700, kVocabulary - at);
        reference.add(part(z, at, n), part(weights, at, n));
        row.add(reference, part(z, at, n), part(weights, at, n), part(other, at, n));
      }
      const double expected = kld_by_definition(z, other);
      EXPECT_NEAR(row.kld(reference), expected, 1e-3 * expected + 1e-7);
    }
}

}  // namespace
}  // namespace enxuto
