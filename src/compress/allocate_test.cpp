#include "compress/allocate.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace enxuto {
namespace {

// Every combination tried: the oracle.
double best_cost_by_brute_force(const std::vector<Choices>& items, uint64_t budget) {
  double best = std::numeric_limits<double>::infinity();
  std::vector<size_t> chosen(items.size());
  for (;;) {
    uint64_t bytes = 0;
    double cost = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      bytes += items[i][chosen[i]].bytes;
      cost += items[i][chosen[i]].cost;
    }
    if (bytes <= budget) best = std::min(best, cost);
    size_t i = 0;
    while (i < items.size() && ++chosen[i] == items[i].size()) chosen[i++] = 0;
    if (i == items.size()) return best;
  }
}

std::vector<Choices> arbitrary_items(int most_items) {
  std::vector<Choices> items(*rc::gen::inRange(1, most_items + 1));
  for (Choices& choices : items) {
    choices.resize(*rc::gen::inRange(1, 6));
    for (Choice& c : choices)
      c = {*rc::gen::inRange<uint64_t>(1, 200), *rc::gen::inRange(0, 1000) / 64.0};
  }
  return items;
}

TEST(Allocate, FindsTheOptimumOfSmallInstances) {
  EXPECT_TRUE(rc::check([] {
    const auto items = arbitrary_items(6);
    const auto budget = *rc::gen::inRange<uint64_t>(1, 1000);
    const auto plan = allocate(items, budget);
    RC_ASSERT(plan.has_value() == (smallest_bytes(items) <= budget));
    if (!plan) return;
    uint64_t bytes = 0;
    double cost = 0;
    for (size_t i = 0; i < items.size(); ++i) {
      bytes += items[i][plan->chosen[i]].bytes;
      cost += items[i][plan->chosen[i]].cost;
    }
    RC_ASSERT(bytes == plan->bytes);
    RC_ASSERT(bytes <= budget);
    const double best = best_cost_by_brute_force(items, budget);
    RC_ASSERT(std::abs(cost - best) <= 1e-9 * (1 + best));
  }));
}

// Formats as a real model has them: 200 tensors of a few sizes, errors falling fourfold per bit.
std::vector<Choices> model_like_items() {
  std::vector<Choices> items;
  for (int i = 0; i < 200; ++i) {
    const uint64_t values = i == 0 ? 28'311'552 : (i % 3 + 1) * 331'776;
    const double sensitivity = 1 + (i * 7919 % 101) * 0.1;
    Choices choices;
    for (const double bits : {2.25, 2.625, 3.4375, 4.25, 4.5, 5.0, 5.5, 6.5625, 8.5, 16.0})
      choices.push_back({static_cast<uint64_t>(static_cast<double>(values) * bits / 8) / 32 * 32,
                         sensitivity * std::exp2(-2 * bits)});
    items.push_back(choices);
  }
  return items;
}

TEST(Allocate, LeavesLessThanAThousandthUnused) {
  const auto items = model_like_items();
  for (const uint64_t budget : {50'000'000ull, 61'234'567ull, 88'202'048ull, 105'454'400ull}) {
    const auto plan = allocate(items, budget);
    ASSERT_TRUE(plan);
    EXPECT_LE(plan->bytes, budget);
    EXPECT_GE(static_cast<double>(plan->bytes), 0.999 * static_cast<double>(budget));
  }
}

TEST(Allocate, CostsLessWithMoreBytes) {
  const auto items = model_like_items();
  double before = std::numeric_limits<double>::infinity();
  for (uint64_t budget = 50'000'000; budget < 110'000'000; budget += 10'000'000) {
    const double cost = allocate(items, budget)->cost;
    EXPECT_LT(cost, before);
    before = cost;
  }
}

TEST(Allocate, TakesTheBestOfEverythingWhereThereIsRoom) {
  const auto items = model_like_items();
  const auto plan = allocate(items, std::numeric_limits<int64_t>::max());
  for (size_t i = 0; i < items.size(); ++i) EXPECT_EQ(plan->chosen[i], items[i].size() - 1);
}

TEST(Allocate, OneByteLessThanTheSmallestIsRefused) {
  const auto items = model_like_items();
  EXPECT_TRUE(allocate(items, smallest_bytes(items)));
  EXPECT_FALSE(allocate(items, smallest_bytes(items) - 1));
}

// Two formats of the same bytes, one twice as quick and a little worse: how much worse the whole
// may be says how many items take it.
TEST(Allocate, TakesQuickerChoicesWhileTheCostIsTolerated) {
  const std::vector<Choices> items(20, Choices{{100, 1.0}, {100, 1.3}, {60, 9.0}});
  const std::vector<std::vector<double>> seconds(20, {2.0, 1.0, 0.5});
  std::vector<Choices> varied = items;
  for (size_t i = 0; i < varied.size(); ++i) varied[i][1].cost += 0.01 * static_cast<double>(i);
  const auto count = [&](double tolerance) {
    const auto plans = allocate_for_speed(varied, seconds, 2000, tolerance);
    EXPECT_TRUE(plans);
    EXPECT_EQ(plans->best.chosen, allocate(varied, 2000)->chosen);
    EXPECT_LE(plans->quick.seconds, plans->best.seconds);
    EXPECT_LE(plans->quick.bytes, 2000u);
    EXPECT_LE(plans->quick.cost, 20 * tolerance + 1e-9);
    return std::ranges::count(plans->quick.chosen, 1u);
  };
  EXPECT_EQ(count(1.0), 0);
  EXPECT_EQ(count(1.1), 6);  // 0.30 + 0.31 + … + 0.35 = 1.95
  EXPECT_EQ(count(1.4), 20);
}

TEST(Allocate, ForSpeedSaysWhereNothingFits) {
  const std::vector<Choices> items(3, Choices{{100, 1.0}});
  EXPECT_FALSE(allocate_for_speed(items, {{1}, {1}, {1}}, 299, 1.1));
}

}  // namespace
}  // namespace enxuto
