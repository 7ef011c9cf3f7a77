// Inverses of small matrices, in doubles: corners of what dense products work on.
#pragma once

#include <cstdint>
#include <span>

namespace enxuto {

// a: (n, n), symmetric and positive definite but for rounding; becomes its inverse. A pivot that
// rounding has made too small is lifted.
void invert_positive(std::span<double> a, int64_t n);

// t: (n, n), rows `stride` floats apart, ones on the diagonal, upper triangle; inverse: (n, n).
void invert_unit_triangle(const float* t, int64_t stride, int64_t n, float* inverse);

}  // namespace enxuto
