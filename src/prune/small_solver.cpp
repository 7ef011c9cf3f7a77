#include "prune/small_solver.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace enxuto {

// L L' = A, then A^-1 = L'^-1 L^-1.
void invert_positive(std::span<double> a, int64_t n) {
  double largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, a[static_cast<size_t>(i * n + i)]);
  const double least = std::max(largest * 1e-12, 1e-300);
  const auto at = [&](int64_t i, int64_t j) -> double& {
    return a[static_cast<size_t>(i * n + j)];
  };
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t k = 0; k < j; ++k) at(j, j) -= at(j, k) * at(j, k);
    at(j, j) = std::sqrt(std::max(at(j, j), least));
    for (int64_t i = j + 1; i < n; ++i) {
      double sum = at(i, j);
      for (int64_t k = 0; k < j; ++k) sum -= at(i, k) * at(j, k);
      at(i, j) = sum / at(j, j);
    }
  }
  for (int64_t j = 0; j < n; ++j) {  // L^-1, in L's place
    at(j, j) = 1 / at(j, j);
    for (int64_t i = j + 1; i < n; ++i) {
      double sum = 0;
      for (int64_t k = j; k < i; ++k) sum -= at(i, k) * at(k, j);
      at(i, j) = sum / at(i, i);
    }
  }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (int64_t k = i; k < n; ++k) sum += at(k, i) * at(k, j);
      at(j, i) = sum;  // above the diagonal, which no later sum reads
    }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j) at(i, j) = at(j, i);
}

void invert_unit_triangle(const float* t, int64_t stride, int64_t n, float* inverse) {
  std::fill_n(inverse, n * n, 0.0f);
  for (int64_t i = n - 1; i >= 0; --i) {
    inverse[i * n + i] = 1;
    for (int64_t j = i + 1; j < n; ++j) {
      double sum = 0;
      for (int64_t k = i + 1; k <= j; ++k) sum += double{t[i * stride + k]} * inverse[k * n + j];
      inverse[i * n + j] = static_cast<float>(-sum);
    }
  }
}

}  // namespace enxuto
