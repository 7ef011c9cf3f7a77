#include "compress/feedback.h"

#include <algorithm>

#include "codecs/lanes.h"

namespace enxuto {
namespace {

constexpr int64_t kPanel = 256;  // columns that are handed on by one product
constexpr uint32_t kMostBlock = 256;

// The code whose value is nearest.
ENXUTO_INLINE int nearest_code(const BlockGrid& grid, size_t group, float value) {
  const float step = grid.step[group];
  if (step == 0) return 0;
  const float level = (value - grid.offset[group]) / step;
  const int last = static_cast<int>(grid.n_codes) - 1;
  if (!grid.levels)
    return static_cast<int>(search::round_even(search::clamp(level, 0, static_cast<float>(last))));
  int code = 0;
  for (int i = 0; i < last; ++i) code += level > 0.5f * (grid.levels[i] + grid.levels[i + 1]);
  return code;
}

ENXUTO_INLINE float value_of(const BlockGrid& grid, size_t group, int code) {
  const float level = grid.levels ? grid.levels[code] : static_cast<float>(code);
  return grid.offset[group] + grid.step[group] * level;
}

// One block of one row, n columns: t is what to round, w the weights themselves, e takes the
// errors; u: n rows of U.
ENXUTO_CLONES void feed_back(const BlockGrid& grid, const float* w, const float* u,
                             int64_t u_stride, int64_t n, float* t, float* e, uint8_t* codes) {
  for (int64_t k = 0; k < n; ++k, u += u_stride) {
    const size_t group = static_cast<size_t>(k) / grid.group_values;
    const int code = nearest_code(grid, group, t[k]);
    codes[k] = static_cast<uint8_t>(code);
    const float error = w[k] - value_of(grid, group, code);
    e[k] = error;
    for (int64_t j = k + 1; j < n; ++j) t[j] += error * u[j];
  }
}

// One block of one row: each code in turn goes to where the loss is least. g: the gradient e' H; h:
// n rows of H; moved takes how far each value went.
ENXUTO_CLONES void move_each(const BlockGrid& grid, const float* w, const float* h,
                             int64_t h_stride, int64_t n, float* g, float* e, float* moved,
                             uint8_t* codes) {
  for (int64_t k = 0; k < n; ++k, h += h_stride) {
    const size_t group = static_cast<size_t>(k) / grid.group_values;
    const float value = w[k] - e[k];
    const int code = nearest_code(grid, group, value + g[k] / h[k]);
    codes[k] = static_cast<uint8_t>(code);
    const float step = value_of(grid, group, code) - value;
    moved[k] = step;
    if (step == 0) continue;
    e[k] -= step;
    for (int64_t j = 0; j < n; ++j) g[j] -= step * h[j];
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
void find_gradient(const Dense& dense, const CovarianceBlock& h, const float* e, int64_t stride,
                   int64_t n_rows, float* g) {
  for (int64_t begin = 0; begin < h.n; begin += kPanel, g += kPanel) {
    const int64_t n = std::min(kPanel, h.n - begin), below = begin + n;
    float corner[kPanel * kPanel];
    copy_corner(h, begin, n, corner, kPanel);
    dense.multiply(n_rows, n, n, 1, {e + begin, stride}, {corner, kPanel}, 0, g, h.n);
    // H above the diagonal is H' below it.
    if (begin > 0)
      dense.multiply(n_rows, n, begin, 1, {e, stride}, {h.matrix + begin * h.n, h.n, true}, 1, g,
                     h.n);
    if (below < h.n)
      dense.multiply(n_rows, n, h.n - below, 1, {e + below, stride},
                     {h.matrix + below * h.n + begin, h.n}, 1, g, h.n);
  }
}

// Rows of one covariance block.
class Rounding {
 public:
  Rounding(const Codec& codec, const Dense& dense, const CovarianceBlock& h, const float* rows,
           int64_t n_rows, int64_t columns, uint8_t* blocks, float* scratch)
      : codec_(codec),
        dense_(dense),
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
        for (int64_t r = 0; r < n_rows_; ++r) round_block(r, block);
        hand_on(block, block + width(), end);
      }
      hand_on(begin, end, h_.n);
    }
    if (codec_.grid)
      for (int sweep = 0; sweep < sweeps; ++sweep) move_codes();
  }

 private:
  int64_t width() const { return codec_.block_values; }
  uint8_t* block_at(int64_t row, int64_t column) const {
    return blocks_ + static_cast<uint64_t>(row) * row_bytes_ +
           codec_.row_bytes(static_cast<uint64_t>(column));
  }

  void round_block(int64_t r, int64_t begin) {
    const float* w = rows_ + r * columns_ + begin;
    float *t = target_ + r * h_.n + begin, *e = error_ + r * h_.n + begin;
    uint8_t* block = block_at(r, begin);
    codec_.encode(t, h_.conditional + begin, block, width());
    if (!codec_.grid) {
      codec_.decode(block, e, width());
      for (int64_t k = 0; k < width(); ++k) e[k] = w[k] - e[k];
      return;
    }
    BlockGrid grid;
    uint8_t codes[kMostBlock];
    codec_.grid(block, grid);
    feed_back(grid, w, h_.matrix + begin * h_.n + begin, h_.n, width(), t, e, codes);
    codec_.set_codes(codes, block);
  }

  // The errors of columns [begin, end) go to those up to `last`.
  void hand_on(int64_t begin, int64_t end, int64_t last) {
    if (end >= last) return;
    dense_.multiply(n_rows_, last - end, end - begin, 1, {error_ + begin, h_.n},
                    {h_.matrix + begin * h_.n + end, h_.n}, 1, target_ + end, h_.n);
  }

  // Each code moves to where the loss is least with all others as they are.
  void move_codes() {
    find_gradient(dense_, h_, error_, h_.n, n_rows_, target_);
    const int64_t n = width();
    float moved[kMostBlock * kRowsAtOnce];
    for (int64_t begin = 0; begin < h_.n; begin += n) {
      copy_corner(h_, begin, n, corner_, kMostBlock);
      for (int64_t r = 0; r < n_rows_; ++r) move_block(r, begin, moved + r * n);
      if (begin + n < h_.n)
        dense_.multiply(n_rows_, h_.n - begin - n, n, -1, {moved, n},
                        {h_.matrix + (begin + n) * h_.n + begin, h_.n, true}, 1,
                        target_ + begin + n, h_.n);
    }
  }

  void move_block(int64_t r, int64_t begin, float* moved) {
    uint8_t* block = block_at(r, begin);
    const float* w = rows_ + r * columns_ + begin;
    float *g = target_ + r * h_.n + begin, *e = error_ + r * h_.n + begin;
    BlockGrid grid;
    uint8_t codes[kMostBlock];
    codec_.grid(block, grid);
    move_each(grid, w, corner_, kMostBlock, width(), g, e, moved, codes);
    codec_.set_codes(codes, block);
  }

  const Codec& codec_;
  const Dense& dense_;
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
    Rounding(codec, covariance.dense(), h, rows, n_rows, covariance.columns(), blocks, scratch)
        .run(sweeps);
}

double loss_of(const Covariance& covariance, const float* errors, int64_t n_rows, float* scratch) {
  const int64_t stride = covariance.columns();
  double loss = 0;
  for (const CovarianceBlock& h : covariance.blocks()) {
    const float* e = errors + h.begin;
    find_gradient(covariance.dense(), h, e, stride, n_rows, scratch);
    for (int64_t r = 0; r < n_rows; ++r)
      for (int64_t c = 0; c < h.n; ++c)
        loss += static_cast<double>(e[r * stride + c]) * scratch[r * h.n + c];
  }
  return loss;
}

}  // namespace enxuto
