#include "compress/point_moves.h"

#include <cstring>

#include "codecs/lanes.h"
#include "compress/block_moves.h"

namespace enxuto {
namespace {

constexpr int kEight = 8;
constexpr size_t kMostBlockBytes = 128;

struct Steps {
  explicit Steps(const Codec& codec, const PointRows& rows) : codec_(codec) {
    for (int r = 0; r < rows.n; ++r) {
      BlockScales scales;
      codec.scales(rows.blocks[r], scales);
      grids_[r] = grid_of(codec, scales);
    }
  }
  void of(int e, int n_rows, float* steps) const {
    for (int r = 0; r < n_rows; ++r)
      steps[r] = grids_[r].step[static_cast<uint32_t>(kEight * e) / codec_.shape->group_values];
  }

 private:
  const Codec& codec_;
  BlockGrid grids_[kPointRows];
};

// t (n) += sum over the eight of e[k] * u[k][.]
ENXUTO_CLONES void hand_eight_on(const float* e, const float* u, int64_t u_stride, int64_t n,
                                 float* t) {
  for (int k = 0; k < kEight; ++k, u += u_stride)
    for (int64_t j = 0; j < n; ++j) t[j] += e[k] * u[j];
}

// The inverse of a positive definite (8, 8), by elimination.
void invert(const float* h, int64_t stride, double inverse[kEight][kEight]) {
  double a[kEight][kEight];
  for (int i = 0; i < kEight; ++i)
    for (int j = 0; j < kEight; ++j) a[i][j] = h[i * stride + j], inverse[i][j] = i == j;
  for (int k = 0; k < kEight; ++k) {
    const double by = a[k][k] > 0 ? 1 / a[k][k] : 0;
    for (int j = 0; j < kEight; ++j) a[k][j] *= by, inverse[k][j] *= by;
    for (int i = 0; i < kEight; ++i) {
      const double factor = a[i][k];
      if (i == k) continue;
      for (int j = 0; j < kEight; ++j)
        a[i][j] -= factor * a[k][j], inverse[i][j] -= factor * inverse[k][j];
    }
  }
}

}  // namespace

void feed_back_points(const Codec& codec, const float* u, int64_t u_stride, const float* d,
                      const PointRows& rows) {
  const Steps all_steps(codec, rows);
  const int64_t n = codec.block_values;
  for (int e = 0; e < n / kEight; ++e) {
    const int64_t at = kEight * e;
    const float* corner = u + at * u_stride + at;
    float steps[kPointRows], weights[kEight], targets[kEight * kPointRows],
        values[kEight * kPointRows];
    all_steps.of(e, rows.n, steps);
    // An error of column k costs d[k], and what it leaves to those after it in the eight.
    for (int k = 0; k < kEight; ++k) {
      weights[k] = d[at + k];
      for (int j = k + 1; j < kEight; ++j)
        weights[k] += d[at + j] * corner[k * u_stride + j] * corner[k * u_stride + j];
    }
    for (int r = 0; r < rows.n; ++r) {
      float left[kEight];
      for (int k = 0; k < kEight; ++k) {
        float target = rows.t[r][at + k];
        for (int j = 0; j < k; ++j) target += left[j] * corner[j * u_stride + k];
        targets[kPointRows * k + r] = target;
        left[k] = rows.w[r][at + k] - target;
      }
    }
    codec.set_points(e, steps, targets, weights, rows.n, rows.blocks, values);
    for (int r = 0; r < rows.n; ++r) {
      float* errors = rows.e[r] + at;
      for (int k = 0; k < kEight; ++k) errors[k] = rows.w[r][at + k] - values[kPointRows * k + r];
      hand_eight_on(errors, corner + kEight, u_stride, n - at - kEight, rows.t[r] + at + kEight);
    }
  }
}

void move_points(const Codec& codec, const float* h, const PointRows& rows, float* moved) {
  const Steps all_steps(codec, rows);
  const int64_t n = codec.block_values;
  for (int e = 0; e < n / kEight; ++e) {
    const int64_t at = kEight * e;
    const float* corner = h + at * kMostBlock + at;
    double inverse[kEight][kEight];
    invert(corner, kMostBlock, inverse);
    float steps[kPointRows], weights[kEight], targets[kEight * kPointRows],
        values[kEight * kPointRows];
    uint8_t before[kPointRows][kMostBlockBytes];
    all_steps.of(e, rows.n, steps);
    for (int k = 0; k < kEight; ++k) weights[k] = corner[k * kMostBlock + k];
    for (int r = 0; r < rows.n; ++r) {
      std::memcpy(before[r], rows.blocks[r], codec.block_bytes);
      for (int k = 0; k < kEight; ++k) {
        double target = rows.w[r][at + k] - rows.e[r][at + k];
        for (int j = 0; j < kEight; ++j) target += inverse[k][j] * rows.t[r][at + j];
        targets[kPointRows * k + r] = static_cast<float>(target);
      }
    }
    codec.set_points(e, steps, targets, weights, rows.n, rows.blocks, values);
    for (int r = 0; r < rows.n; ++r) {
      const BlockView view{h, n, rows.w[r], rows.e[r], rows.t[r], moved + r * n};
      float step[kEight];
      double change = 0;
      for (int k = 0; k < kEight; ++k)
        step[k] = values[kPointRows * k + r] - (view.w[at + k] - view.e[at + k]);
      for (int k = 0; k < kEight; ++k) {
        double answer = -2 * view.g[at + k];
        for (int j = 0; j < kEight; ++j) answer += corner[k * kMostBlock + j] * step[j];
        change += answer * step[k];
      }
      if (change < 0)
        move_values(view, at, kEight, step);
      else
        std::memcpy(rows.blocks[r], before[r], codec.block_bytes);
    }
  }
}

}  // namespace enxuto
