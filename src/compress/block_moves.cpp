#include "compress/block_moves.h"

#include <algorithm>
#include <cmath>

#include "codecs/lanes.h"

namespace enxuto {
namespace {

// out (n) = sum over i of u[i] * h[i][.]
ENXUTO_CLONES void multiply(const float* h, int64_t rows, int64_t n, const float* u, float* out) {
  for (int64_t j = 0; j < n; ++j) out[j] = 0;
  for (int64_t i = 0; i < rows; ++i, h += kMostBlock)
    for (int64_t j = 0; j < n; ++j) out[j] += u[i] * h[j];
}

ENXUTO_CLONES void take_off(const float* h, int64_t rows, int64_t n, const float* u, float* out) {
  for (int64_t i = 0; i < rows; ++i, h += kMostBlock)
    for (int64_t j = 0; j < n; ++j) out[j] -= u[i] * h[j];
}

// n is a multiple of 16.
ENXUTO_CLONES double dot(const float* a, const float* b, int64_t n) {
  float sums[16] = {};
  for (int64_t i = 0; i < n; i += 16)
    for (int64_t lane = 0; lane < 16; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  double sum = 0;
  for (const float s : sums) sum += s;
  return sum;
}

float nearest_f16(double x) {
  return search::round_to_f16(static_cast<float>(std::clamp(x, -65504.0, 65504.0)));
}

// Two directions in which the stored values can grow, and how the loss answers a step (x, y):
//   -2 (x gu + y gv) + x^2 uu + 2 x y uv + y^2 vv
struct Plane {
  double gu = 0, gv = 0, uu = 0, uv = 0, vv = 0;

  double change(double x, double y) const {
    return -2 * (x * gu + y * gv) + x * x * uu + 2 * x * y * uv + y * y * vv;
  }
  // The best x for a given y, and the best y of all.
  double best_x(double y) const { return uu > 0 ? (gu - y * uv) / uu : 0; }
  double best_y() const {
    const double determinant = uu * vv - uv * uv;
    return determinant > 1e-6 * uu * vv ? (gv * uu - gu * uv) / determinant : 0;
  }
};

class ScaleRefit {
 public:
  ScaleRefit(const Codec& codec, const BlockView& view, uint8_t* block)
      : codec_(codec), shape_(*codec.shape), view_(view), block_(block) {}

  void run() {
    codec_.scales(block_, scales_);
    for (int64_t i = 0; i < view_.n; ++i) value_[i] = view_.w[i] - view_.e[i];
    const int64_t n = shape_.group_values;
    if (shape_.most > shape_.least || shape_.most_low > 1)
      for (int64_t g = 0; g < view_.n / n; ++g) refit_group(g, g * n, n);
    if (!shape_.fixed_d) refit_block();
    if (changed_) codec_.set_scales(scales_, block_);
  }

 private:
  float unit(int a) const { return shape_.units ? shape_.units[a] : static_cast<float>(a); }
  // The integer whose unit is nearest.
  int nearest_integer(double wish) const {
    const double x = std::clamp<double>(wish, unit(shape_.least), unit(shape_.most));
    if (!shape_.units) return static_cast<int>(std::lround(x));
    const float* end = shape_.units + shape_.most + 1;
    const float* above = std::lower_bound(shape_.units + shape_.least, end, static_cast<float>(x));
    const auto a = static_cast<int>(above - shape_.units);
    return a > shape_.least && x - unit(a - 1) < unit(a) - x ? a - 1 : a;
  }

  // u: what a value grows by with the step; v with the low: 1 each, times `low` in a whole block.
  Plane plane_of(const float* h, const float* g, int64_t n, const float* u, const float* v) {
    Plane p;
    float product[kMostBlock];
    multiply(h, n, n, u, product);
    p.gu = dot(g, u, n), p.uu = dot(product, u, n);
    if (!v) return p;
    p.uv = dot(product, v, n);
    multiply(h, n, n, v, product);
    p.gv = dot(g, v, n), p.vv = dot(product, v, n);
    return p;
  }

  void move(int64_t begin, int64_t n, const float* steps) {
    move_values(view_, begin, n, steps);
    for (int64_t i = 0; i < n; ++i) value_[begin + i] += steps[i];
    changed_ = true;
  }

  void refit_group(int64_t g, int64_t begin, int64_t n) {
    const float step = scales_.d * unit(scales_.a[g]), low = scales_.low;
    if (step == 0) return;
    const float offset = low * static_cast<float>(scales_.b[g]);
    float u[kMostBlock], ones[kMostBlock];
    for (int64_t i = 0; i < n; ++i) u[i] = (value_[begin + i] - offset) / step, ones[i] = 1;
    const bool two = shape_.most_low > 0 && low != 0;
    const Plane plane =
        plane_of(view_.h + begin * kMostBlock + begin, view_.g + begin, n, u, two ? ones : nullptr);
    double best = 0;
    int best_a = scales_.a[g], best_b = scales_.b[g];
    const int wish = two ? static_cast<int>(std::lround(
                               std::clamp<double>((offset + plane.best_y()) / low, 0, 1e6)))
                         : 0;
    for (int b = wish - 1; b <= wish + 1; ++b) {
      if (two ? b < 0 || b > shape_.most_low : b != 0) continue;
      const double y = two ? low * static_cast<float>(b) - offset : 0;
      const int a = nearest_integer((step + plane.best_x(y)) / scales_.d);
      const double change = plane.change(scales_.d * unit(a) - step, y);
      if (change < best) best = change, best_a = a, best_b = two ? b : best_b;
    }
    if (best_a == scales_.a[g] && best_b == scales_.b[g]) return;
    const float x = scales_.d * unit(best_a) - step, y = low * static_cast<float>(best_b) - offset;
    for (int64_t i = 0; i < n; ++i) u[i] = x * u[i] + y;
    scales_.a[g] = best_a, scales_.b[g] = best_b;
    move(begin, n, u);
  }

  void refit_block() {
    const float d = scales_.d, low = scales_.low;
    if (d == 0) return;
    float u[kMostBlock], v[kMostBlock];
    for (int64_t i = 0; i < view_.n; ++i) {
      v[i] = static_cast<float>(scales_.b[i / shape_.group_values]);
      u[i] = (value_[i] - low * v[i]) / d;
    }
    const Plane plane = plane_of(view_.h, view_.g, view_.n, u, shape_.most_low > 0 ? v : nullptr);
    const float new_low = nearest_f16(low + plane.best_y());
    const float new_d = nearest_f16(d + plane.best_x(new_low - low));
    // A scale does not change its sign: the points of a grid are searched for positive ones.
    if (!(plane.change(new_d - d, new_low - low) < 0) || new_d * d <= 0) return;
    for (int64_t i = 0; i < view_.n; ++i) u[i] = (new_d - d) * u[i] + (new_low - low) * v[i];
    scales_.d = new_d, scales_.low = new_low;
    move(0, view_.n, u);
  }

  const Codec& codec_;
  const BlockShape& shape_;
  const BlockView& view_;
  uint8_t* block_;
  BlockScales scales_;
  float value_[kMostBlock];
  bool changed_ = false;
};

}  // namespace

void move_values(const BlockView& view, int64_t begin, int64_t n, const float* steps) {
  for (int64_t i = 0; i < n; ++i) {
    view.e[begin + i] -= steps[i];
    view.moved[begin + i] += steps[i];
  }
  take_off(view.h + begin * kMostBlock, n, view.n, steps, view.g);
}

int nearest_code(const BlockShape& shape, const BlockGrid& grid, size_t group, float value) {
  const float step = grid.step[group];
  if (step == 0) return 0;
  const float level = (value - grid.offset[group]) / step;
  const int last = static_cast<int>(shape.n_codes) - 1;
  if (!shape.levels)
    return static_cast<int>(search::round_even(search::clamp(level, 0, static_cast<float>(last))));
  int code = 0;
  for (int i = 0; i < last; ++i) code += level > 0.5f * (shape.levels[i] + shape.levels[i + 1]);
  return code;
}

float value_of(const BlockShape& shape, const BlockGrid& grid, size_t group, int code) {
  const float level = shape.levels ? shape.levels[code] : static_cast<float>(code);
  return grid.offset[group] + grid.step[group] * level;
}

int code_of_zero(const BlockShape& shape) {
  if (!shape.levels) return static_cast<int>(-shape.zero);
  return static_cast<int>(std::find(shape.levels, shape.levels + shape.n_codes, 0.0f) -
                          shape.levels);
}

void keep_zeros(const float* weights, int64_t n, float* targets) {
  for (int64_t i = 0; i < n; ++i)
    if (weights[i] == 0) targets[i] = 0;
}

void refit_scales(const Codec& codec, const BlockView& view, uint8_t* block) {
  ScaleRefit(codec, view, block).run();
}

void move_codes(const Codec& codec, const BlockView& view, uint8_t* block) {
  BlockScales scales;
  codec.scales(block, scales);
  const BlockGrid grid = grid_of(codec, scales);
  const BlockShape& shape = *codec.shape;
  const Present present(codec, block);
  uint8_t codes[kMostBlock];
  for (int64_t k = 0; k < view.n; ++k) {
    if (!present[k]) {
      codes[k] = static_cast<uint8_t>(code_of_zero(shape));
      continue;
    }
    const size_t group = static_cast<size_t>(k) / shape.group_values;
    const float value = view.w[k] - view.e[k];
    const int code =
        nearest_code(shape, grid, group, value + view.g[k] / view.h[k * kMostBlock + k]);
    codes[k] = static_cast<uint8_t>(code);
    const float step = value_of(shape, grid, group, code) - value;
    // Less than that is what w - (w - value) has lost of the value.
    if (std::fabs(step) > 1e-3f * std::fabs(grid.step[group])) move_values(view, k, 1, &step);
  }
  codec.set_codes(codes, block);
}

}  // namespace enxuto
