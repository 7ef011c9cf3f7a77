// For tests: gradients against differences of the loss itself.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <vector>

#include "kernels/random_floats.h"

namespace enxuto {

// sum a b: a loss whose gradient by a is b.
inline double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

// gradient[i] = d loss() / d x[i], within tolerance times the largest; loss reads x. Every
// `stride`-th is looked at.
template <class Loss>
void expect_gradient(std::span<float> x, std::span<const float> gradient, const Loss& loss,
                     double tolerance, float step = 0x1p-6f, size_t stride = 1) {
  ASSERT_EQ(x.size(), gradient.size());
  double largest = 0;
  for (const float g : gradient) largest = std::max(largest, std::fabs(double{g}));
  ASSERT_GT(largest, 0);
  for (size_t i = 0; i < x.size(); i += stride) {
    const float before = x[i];
    const auto difference = [&](float by) {
      x[i] = before + by;
      const double above = loss();
      x[i] = before - by;
      const double below = loss();
      x[i] = before;
      return above - below;
    };
    const double slope = (8 * difference(step) - difference(2 * step)) / (12 * double{step});
    ASSERT_NEAR(gradient[i], slope, tolerance * largest) << "at " << i;
  }
}

}  // namespace enxuto
