#include "kernels/layer_norm_gradient.h"

#include <cmath>

#include "kernels/row_sums.h"

namespace enxuto {

RowNorm row_norm(const float* x, float epsilon, int64_t n) {
  const auto size = static_cast<size_t>(n);
  const double count = static_cast<double>(n);
  const auto mean = static_cast<float>(sum_of(size, [&](size_t i) { return x[i]; }) / count);
  const double squares = sum_of(size, [&](size_t i) { return (x[i] - mean) * (x[i] - mean); });
  return {mean, static_cast<float>(1 / std::sqrt(squares / count + epsilon))};
}

// With g = weight dy, and h the row as it is normed:   dx = scale (g - mean(g) - h mean(g h))
void layer_norm_gradient(const float* x, const float* weight, float epsilon, int64_t n,
                         const float* dy, float* dx) {
  const RowNorm row = row_norm(x, epsilon, n);
  const auto size = static_cast<size_t>(n);
  const double count = static_cast<double>(n);
  const auto normed = [&](size_t i) { return (x[i] - row.mean) * row.scale; };
  const auto even =
      static_cast<float>(sum_of(size, [&](size_t i) { return weight[i] * dy[i]; }) / count);
  const auto along = static_cast<float>(
      sum_of(size, [&](size_t i) { return weight[i] * dy[i] * normed(i); }) / count);
  for (size_t i = 0; i < size; ++i)
    dx[i] = row.scale * (weight[i] * dy[i] - even - along * normed(i));
}

}  // namespace enxuto
