// One format for each tensor, so that the whole fits a byte budget and costs the least: the
// multiple-choice knapsack. Pure arithmetic.
//
// A Lagrangian (bytes priced at lambda) is bisected to the best plan on the lower convex hulls;
// what is left of the budget is then filled by an exact search among the choices that the dual
// bound cannot rule out, bounded in its states.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace enxuto {

struct Choice {
  uint64_t bytes;
  double cost;  // >= 0
};
using Choices = std::vector<Choice>;  // of one item; not empty

struct Allocation {
  std::vector<size_t> chosen;  // per item
  uint64_t bytes = 0;
  double cost = 0;
};

// Nothing where even the smallest choices are more than `budget` bytes.
std::optional<Allocation> allocate(std::span<const Choices> items, uint64_t budget);

struct TimedAllocation : Allocation {
  double seconds = 0;
};
struct SpeedPlans {
  TimedAllocation best;   // as allocate() has it
  TimedAllocation quick;  // the quickest found that costs at most `tolerance` (>= 1) times as much
};
// seconds: of each choice of each item. Nothing as of allocate().
std::optional<SpeedPlans> allocate_for_speed(std::span<const Choices> items,
                                             const std::vector<std::vector<double>>& seconds,
                                             uint64_t budget, double tolerance);

uint64_t smallest_bytes(std::span<const Choices> items);

}  // namespace enxuto
