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

  double run(int sweeps) {
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
    return loss();
  }

  // target_ = error_ * H
  void gradient() {
    for (int64_t begin = 0; begin < h_.n; begin += kPanel) {
      const int64_t n = std::min(kPanel, h_.n - begin), below = begin + n;
      // H above the diagonal is H' below it.
      const float* h = h_.matrix;
      float* g = target_ + begin;
      float corner[kPanel * kPanel];
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j <= i; ++j)
          corner[i * kPanel + j] = corner[j * kPanel + i] = h[(begin + i) * h_.n + begin + j];
      dense_.multiply(n_rows_, n, n, 1, {error_ + begin, h_.n}, {corner, kPanel}, 0, g, h_.n);
      if (begin > 0)
        dense_.multiply(n_rows_, n, begin, 1, {error_, h_.n}, {h + begin * h_.n, h_.n, true}, 1, g,
                        h_.n);
      if (below < h_.n)
        dense_.multiply(n_rows_, n, h_.n - below, 1, {error_ + below, h_.n},
                        {h + below * h_.n + begin, h_.n}, 1, g, h_.n);
    }
  }

  double loss() {
    gradient();
    double sum = 0;
    for (int64_t i = 0; i < n_rows_ * h_.n; ++i) sum += static_cast<double>(error_[i]) * target_[i];
    return sum;
  }

  void set_error(bool zeros) {
    for (int64_t r = 0; r < n_rows_; ++r) {
      float* e = error_ + r * h_.n;
      if (zeros)
        std::fill_n(e, h_.n, 0.0f);
      else
        codec_.decode(block_at(r, 0), e, static_cast<size_t>(h_.n));
      for (int64_t c = 0; c < h_.n; ++c) e[c] = rows_[r * columns_ + c] - e[c];
    }
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
    gradient();
    const int64_t n = width();
    float moved[kMostBlock * kRowsAtOnce];
    for (int64_t begin = 0; begin < h_.n; begin += n) {
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j <= i; ++j)
          corner_[i * kMostBlock + j] = corner_[j * kMostBlock + i] =
              h_.matrix[(begin + i) * h_.n + begin + j];
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

template <class Body>
double over_blocks(const Codec& codec, const Covariance& covariance, const float* rows,
                   int64_t n_rows, uint8_t* blocks, float* scratch, const Body& body) {
  double loss = 0;
  for (const CovarianceBlock& h : covariance.blocks()) {
    Rounding rounding(codec, covariance.dense(), h, rows, n_rows, covariance.columns(), blocks,
                      scratch);
    loss += body(rounding);
  }
  return loss;
}

}  // namespace

int64_t round_scratch(int64_t n_rows, int64_t columns) { return 2 * n_rows * columns; }

double round_rows(const Codec& codec, const Covariance& covariance, const float* rows,
                  int64_t n_rows, int sweeps, uint8_t* blocks, float* scratch) {
  return over_blocks(codec, covariance, rows, n_rows, blocks, scratch,
                     [&](Rounding& rounding) { return rounding.run(sweeps); });
}

double loss_of(const Codec& codec, const Covariance& covariance, const float* rows, int64_t n_rows,
               const uint8_t* blocks, float* scratch) {
  return over_blocks(codec, covariance, rows, n_rows, const_cast<uint8_t*>(blocks), scratch,
                     [](Rounding& rounding) {
                       rounding.set_error(false);
                       return rounding.loss();
                     });
}

double loss_of_zeros(const Covariance& covariance, const float* rows, int64_t n_rows,
                     float* scratch) {
  return over_blocks(*find_codec(Type::F32), covariance, rows, n_rows, nullptr, scratch,
                     [](Rounding& rounding) {
                       rounding.set_error(true);
                       return rounding.loss();
                     });
}

}  // namespace enxuto
