// The learning rate over a run.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace enxuto {

enum class Schedule { kCosine, kLinear, kConstant };

struct LearningRate {
  float most = 0;
  uint64_t warmup = 0, steps = 0;  // warmup: steps until it is reached
  Schedule schedule = Schedule::kCosine;

  // Of step 1, 2, …, steps. Cosine and linear end at a tenth of the most.
  float at(uint64_t step) const {
    if (step <= warmup) return most * static_cast<float>(step) / static_cast<float>(warmup);
    if (schedule == Schedule::kConstant || steps <= warmup) return most;
    const double way =
        std::min(1.0, static_cast<double>(step - warmup) / static_cast<double>(steps - warmup));
    const double left =
        schedule == Schedule::kLinear ? 1 - way : (1 + std::cos(std::numbers::pi * way)) / 2;
    return most * static_cast<float>(kLeast + (1 - kLeast) * left);
  }

 private:
  static constexpr double kLeast = 0.1;
};

}  // namespace enxuto
