#include "prune/triangle_inverse.h"

#include <algorithm>
#include <vector>

#include "prune/small_solver.h"

namespace enxuto {

void clear_below(const CovarianceBlock& block) {
  for (int64_t i = 0; i < block.n; ++i) {
    std::fill_n(block.matrix + i * block.n, i, 0.0f);
    block.matrix[i * block.n + i] = 1;
  }
}

void invert_triangle(ThreadTeam& team, const Dense& dense, const CovarianceBlock& block,
                     float* panel) {
  constexpr int64_t kTile = kTriangleTile;
  const auto tiles_of = [](int64_t n) { return (n + kTile - 1) / kTile; };
  const int64_t n = block.n;
  float* t = block.matrix;
  std::vector<float> inverse(kTile * kTile);
  clear_below(block);
  for (int64_t i = tiles_of(n) - 1; i >= 0; --i) {
    const int64_t begin = i * kTile, end = std::min(begin + kTile, n), rows = end - begin;
    invert_unit_triangle(t + begin * n + begin, n, rows, inverse.data());
    // Right of the corner: -T_ii^-1 T_i,rest X_rest
    team.parallel_for(tiles_of(n - end), 1, [&](int64_t tile, int64_t, int) {
      const int64_t from = end + tile * kTile, to = std::min(from + kTile, n);
      dense.multiply(rows, to - from, to - end, 1, {t + begin * n + end, n},
                     {t + end * n + from, n}, 0, panel + from, n);
    });
    team.parallel_for(tiles_of(n - end), 1, [&](int64_t tile, int64_t, int) {
      const int64_t from = end + tile * kTile, to = std::min(from + kTile, n);
      dense.multiply(rows, to - from, rows, -1, {inverse.data(), rows}, {panel + from, n}, 0,
                     t + begin * n + from, n);
    });
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(inverse.data() + r * rows, rows, t + (begin + r) * n + begin);
  }
}

}  // namespace enxuto
