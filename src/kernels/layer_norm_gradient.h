// The way back of y = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias, row by row. Sums
// in double.
#pragma once

#include <cstdint>

namespace enxuto {

// What a row is normed by: (x - mean) scale.
struct RowNorm {
  float mean, scale;
};
RowNorm row_norm(const float* x, float epsilon, int64_t n);

// From dy, the gradient of a loss by y, to that by x; all (n). dx may be dy.
void layer_norm_gradient(const float* x, const float* weight, float epsilon, int64_t n,
                         const float* dy, float* dx);

}  // namespace enxuto
