#include "data/shuffled_order.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <tuple>
#include <vector>

namespace enxuto {
namespace {

std::vector<uint64_t> all(uint64_t n, uint64_t seed) {
  const ShuffledOrder order(n, seed);
  std::vector<uint64_t> numbers(n);
  for (uint64_t i = 0; i < n; i++) numbers[i] = order[i];
  return numbers;
}

TEST(ShuffledOrder, HasEachNumberOnce) {
  std::vector<uint64_t> sizes = {1, 2, 3, 5, 6, 7, 100, 1000, 99'991};
  for (uint64_t power = 4; power <= 1 << 16; power *= 2)
    for (const uint64_t n : {power - 1, power, power + 1}) sizes.push_back(n);
  for (const uint64_t n : sizes)
    for (const uint64_t seed : {0, 1, 12345}) {
      std::vector<bool> met(n);
      for (const uint64_t number : all(n, seed)) {
        ASSERT_LT(number, n);
        ASSERT_FALSE(met[number]) << n;
        met[number] = true;
      }
    }
}

TEST(ShuffledOrder, TakesNumbersOfAnySize) {
  for (const uint64_t n : {uint64_t{1} << 40, (uint64_t{1} << 62) + 1, UINT64_MAX}) {
    const ShuffledOrder order(n, 3);
    for (const uint64_t i : {uint64_t{0}, n / 2, n - 1}) EXPECT_LT(order[i], n);
  }
}

TEST(ShuffledOrder, IsTheSameForTheSameSeedOnly) {
  EXPECT_EQ(all(1000, 1), all(1000, 1));
  EXPECT_NE(all(1000, 1), all(1000, 2));
}

// Of three numbers there are six orders, each as likely: chi square with 5 degrees of freedom is
// beyond 20.5 once in a thousand. Likewise 23 degrees for four numbers, beyond 49.7.
TEST(ShuffledOrder, GivesEachOrderOfFewNumbersAsOften) {
  for (const auto& [n, n_orders, most] : {std::tuple{3u, 6u, 20.5}, {4u, 24u, 49.7}}) {
    std::map<std::vector<uint64_t>, int> met;
    const int n_seeds = 24'000;
    for (int seed = 0; seed < n_seeds; seed++) met[all(n, static_cast<uint64_t>(seed))]++;
    EXPECT_EQ(met.size(), n_orders);
    const double expected = static_cast<double>(n_seeds) / n_orders;
    double chi_square = 0;
    for (const auto& [order, times] : met)
      chi_square += (times - expected) * (times - expected) / expected;
    EXPECT_LT(chi_square, most) << n;
  }
}

// A random order moves a number by a third of n on average, puts neighbours anywhere, leaves one
// number at its place, and has half of its steps upwards.
TEST(ShuffledOrder, LeavesNoPattern) {
  const uint64_t n = 10'007;
  for (const uint64_t seed : {1, 2, 3, 4}) {
    const std::vector<uint64_t> order = all(n, seed);
    double moved = 0, steps = 0, upwards = 0, fixed = 0;
    for (uint64_t i = 0; i < n; i++) {
      moved += std::abs(static_cast<double>(order[i]) - static_cast<double>(i)) / n;
      fixed += order[i] == i;
      if (i == 0) continue;
      steps += std::abs(static_cast<double>(order[i]) - static_cast<double>(order[i - 1])) / n;
      upwards += order[i] > order[i - 1];
    }
    EXPECT_NEAR(moved / n, 1.0 / 3, 0.01);
    EXPECT_NEAR(steps / n, 1.0 / 3, 0.01);
    EXPECT_NEAR(upwards / n, 0.5, 0.02);
    EXPECT_LT(fixed, 8);
  }
}

}  // namespace
}  // namespace enxuto
