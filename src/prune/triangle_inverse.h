// The inverse of a large unit triangle, tile by tile: what removing columns and masking weights
// both start from.
#pragma once

#include <cstdint>

#include "compress/covariance.h"
#include "platform/threads.h"

namespace enxuto {

// Floats of scratch for a matrix of so many columns.
inline constexpr int64_t kTriangleTile = 128;
constexpr int64_t triangle_scratch(int64_t n) { return kTriangleTile * n; }

// The unit upper triangle T of a factored block (H = T D T') becomes T^-1, with nothing below the
// diagonal. panel: triangle_scratch(n) floats.
void invert_triangle(ThreadTeam& team, const Dense& dense, const CovarianceBlock& block,
                     float* panel);
// Above the diagonal of a factored block lies U: ones are put on it, and nothing below.
void clear_below(const CovarianceBlock& block);

}  // namespace enxuto
