#include "compress/feedback.h"

#include <algorithm>
#include <cstring>

#include "codecs/lanes.h"
#include "compress/block_moves.h"
#include "compress/point_moves.h"
#include "kernels/kernels.h"

namespace enxuto {
namespace {

constexpr int64_t kPanel = 256;  // columns that are handed on by one product

// One block of one row, n columns: t is what to round, w the weights themselves, e takes the
// errors; u: n rows of U.
ENXUTO_CLONES void feed_back(const BlockShape& shape, const BlockGrid& grid, const Present& present,
                             const float* w, const float* u, int64_t u_stride, int64_t n, float* t,
                             float* e, uint8_t* codes) {
  for (int64_t k = 0; k < n; ++k, u += u_stride) {
    const size_t group = static_cast<size_t>(k) / shape.group_values;
    const int code = present[k] ? nearest_code(shape, grid, group, t[k]) : code_of_zero(shape);
    codes[k] = static_cast<uint8_t>(code);
    const float error = w[k] - value_of(shape, grid, group, code);
    e[k] = error;
    for (int64_t j = k + 1; j < n; ++j) t[j] += error * u[j];
  }
}

// The square of H at columns [begin, begin + n), whole; below the diagonal it is stored.
void copy_corner(const CovarianceBlock& h, int64_t begin, int64_t n, float* corner,
                 int64_t stride) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j)
      corner[i * stride + j] = corner[j * stride + i] = h.matrix[(begin + i) * h.n + begin + j];
}

// g (n_rows, h.n) = e * H; e: rows stride floats apart.
void find_gradient(const CovarianceBlock& h, const float* e, int64_t stride, int64_t n_rows,
                   float* g) {
  for (int64_t begin = 0; begin < h.n; begin += kPanel, g += kPanel) {
    const int64_t n = std::min(kPanel, h.n - begin), below = begin + n;
    float corner[kPanel * kPanel];
    copy_corner(h, begin, n, corner, kPanel);
    for (int64_t r = 0; r < n_rows; ++r) std::fill_n(g + r * h.n, n, 0.0f);
    const auto add = [&](int64_t k, const float* from, const float* b, int64_t b_stride,
                         bool b_transposed) {
      kernels().add_product({n_rows, n, k, 1, from, stride, b, b_stride, b_transposed, g, h.n});
    };
    add(n, e + begin, corner, kPanel, false);
    // H above the diagonal is H' below it.
    add(begin, e, h.matrix + begin * h.n, h.n, true);
    add(h.n - below, e + below, h.matrix + below * h.n + begin, h.n, false);
  }
}

// Rows of one covariance block.
class Rounding {
 public:
  Rounding(const Codec& codec, const CovarianceBlock& h, const float* rows, int64_t n_rows,
           int64_t columns, uint8_t* blocks, float* scratch)
      : codec_(codec),
        h_(h),
        rows_(rows + h.begin),
        n_rows_(n_rows),
        columns_(columns),
        blocks_(blocks + codec.row_bytes(h.begin)),
        row_bytes_(codec.row_bytes(columns)),
        target_(scratch),
        error_(scratch + n_rows * h.n) {}

  void run(int sweeps) {
    for (int64_t r = 0; r < n_rows_; ++r)
      std::copy_n(rows_ + r * columns_, h_.n, target_ + r * h_.n);
    for (int64_t begin = 0; begin < h_.n; begin += kPanel) {
      const int64_t end = std::min(begin + kPanel, h_.n);
      for (int64_t block = begin; block < end; block += width()) {
        round_blocks(block);
        hand_on(block, block + width(), end);
      }
      hand_on(begin, end, h_.n);
    }
    for (int sweep = 0; sweep < sweeps; ++sweep) improve();
  }

 private:
  int64_t width() const { return codec_.block_values; }
  uint8_t* block_at(int64_t row, int64_t column) const {
    return blocks_ + static_cast<uint64_t>(row) * row_bytes_ +
           codec_.row_bytes(static_cast<uint64_t>(column));
  }

  // The block at `begin` of all rows.
  void round_blocks(int64_t begin) {
    const float *u = h_.matrix + begin * h_.n + begin, *left = h_.conditional + begin;
    if (codec_.set_points) {
      for (int64_t r = 0; r < n_rows_; ++r)
        codec_.choose_scales(target_ + r * h_.n + begin, left, block_at(r, begin));
      for (int64_t r = 0; r < n_rows_; r += kPointRows)
        feed_back_points(codec_, u, h_.n, left, rows_at(r, begin));
      return;
    }
    for (int64_t r = 0; r < n_rows_; ++r) {
      const float* w = rows_ + r * columns_ + begin;
      float *t = target_ + r * h_.n + begin, *e = error_ + r * h_.n + begin;
      if (codec_.present) keep_zeros(w, width(), t);
      codec_.encode(t, left, block_at(r, begin), width());
      BlockScales scales;
      codec_.scales(block_at(r, begin), scales);
      uint8_t codes[kMostBlock];
      feed_back(*codec_.shape, grid_of(codec_, scales), {codec_, block_at(r, begin)}, w, u, h_.n,
                width(), t, e, codes);
      codec_.set_codes(codes, block_at(r, begin));
    }
  }

  PointRows rows_at(int64_t row, int64_t begin) const {
    PointRows rows;
    rows.n = static_cast<int>(std::min<int64_t>(kPointRows, n_rows_ - row));
    for (int i = 0; i < rows.n; ++i) {
      const int64_t r = row + i;
      rows.w[i] = rows_ + r * columns_ + begin;
      rows.t[i] = target_ + r * h_.n + begin;
      rows.e[i] = error_ + r * h_.n + begin;
      rows.blocks[i] = block_at(r, begin);
    }
    return rows;
  }

  // The errors of columns [begin, end) go to those up to `last`.
  void hand_on(int64_t begin, int64_t end, int64_t last) {
    kernels().add_product({n_rows_, last - end, end - begin, 1, error_ + begin, h_.n,
                           h_.matrix + begin * h_.n + end, h_.n, false, target_ + end, h_.n});
  }

  // One sweep over scales and codes. What the loss's gradient is lies where the targets were.
  void improve() {
    find_gradient(h_, error_, h_.n, n_rows_, target_);
    const int64_t n = width();
    float moved[kMostBlock * kRowsAtOnce];
    for (int64_t begin = 0; begin < h_.n; begin += n) {
      copy_corner(h_, begin, n, corner_, kMostBlock);
      std::fill_n(moved, n_rows_ * n, 0.0f);
      for (int64_t r = 0; r < n_rows_; ++r) {
        const BlockView view{corner_,
                             n,
                             rows_ + r * columns_ + begin,
                             error_ + r * h_.n + begin,
                             target_ + r * h_.n + begin,
                             moved + r * n};
        refit_scales(codec_, view, block_at(r, begin));
        if (codec_.set_codes) move_codes(codec_, view, block_at(r, begin));
      }
      if (codec_.set_points)
        for (int64_t r = 0; r < n_rows_; r += kPointRows)
          move_points(codec_, corner_, rows_at(r, begin), moved + r * n);
      kernels().add_product({n_rows_, h_.n - begin - n, n, -1, moved, n,
                             h_.matrix + (begin + n) * h_.n + begin, h_.n, true,
                             target_ + begin + n, h_.n});
    }
  }

  const Codec& codec_;
  const CovarianceBlock& h_;
  const float* rows_;
  int64_t n_rows_, columns_;
  uint8_t* blocks_;
  uint64_t row_bytes_;
  float *target_,
      *error_;  // (n_rows, h_.n): what is to be rounded, later the loss's gradient; what is off
  float corner_[kMostBlock * kMostBlock];
};

}  // namespace

int64_t round_scratch(int64_t n_rows, int64_t columns) { return 2 * n_rows * columns; }

void round_rows(const Codec& codec, const Covariance& covariance, const float* rows, int64_t n_rows,
                int sweeps, uint8_t* blocks, float* scratch) {
  for (const CovarianceBlock& h : covariance.blocks())
    Rounding(codec, h, rows, n_rows, covariance.columns(), blocks, scratch).run(sweeps);
}

double loss_of(const Covariance& covariance, const float* errors, int64_t n_rows, float* scratch) {
  const int64_t stride = covariance.columns();
  double loss = 0;
  for (const CovarianceBlock& h : covariance.blocks()) {
    const float* e = errors + h.begin;
    find_gradient(h, e, stride, n_rows, scratch);
    for (int64_t r = 0; r < n_rows; ++r)
      for (int64_t c = 0; c < h.n; ++c)
        loss += static_cast<double>(e[r * stride + c]) * scratch[r * h.n + c];
  }
  return loss;
}

}  // namespace enxuto
