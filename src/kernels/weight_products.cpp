#include "kernels/weight_products.h"

#include <algorithm>

#include "base/checked.h"

namespace enxuto {
namespace {

// A block of weights is kDepth long in the direction of the sum and at least kBreadth in the other;
// decoded it stays in a core's second cache. No format's block is longer than kDepth.
constexpr int64_t kBreadth = 64, kDepth = 256;
constexpr int64_t kBlockFloats = kDepth * kDepth;

// Rows [r, r + n_rows), columns [c, c + n_columns) as floats, rows n_columns apart.
void decode_block(const WeightRows& w, int64_t r, int64_t n_rows, int64_t c, int64_t n_columns,
                  float* values) {
  const Codec& codec = *find_codec(w.type);
  const uint64_t skip = codec.row_bytes(static_cast<uint64_t>(c));
  auto piece = std::upper_bound(w.pieces.begin(), w.pieces.end(), r,
                                [](int64_t row, const auto& p) { return row < p.first_row; }) -
               1;
  for (int64_t i = r; i < r + n_rows; ++i, values += n_columns) {
    if (piece + 1 != w.pieces.end() && i >= piece[1].first_row) ++piece;
    codec.decode(piece->data + static_cast<uint64_t>(i - piece->first_row) * w.row_bytes + skip,
                 values, static_cast<size_t>(n_columns));
  }
}

int64_t pieces_of(int64_t n, int64_t piece) { return (n + piece - 1) / piece; }

}  // namespace

uint64_t WeightProducts::scratch_floats(int n_threads) {
  return static_cast<uint64_t>(n_threads) * kBlockFloats;
}

float* WeightProducts::scratch_of(int thread) const { return scratch_ + thread * kBlockFloats; }

void WeightProducts::forward(const WeightRows& w, const float* x, int64_t n, const float* bias,
                             float* y) const {
  team_.parallel_for(pieces_of(w.rows, kBreadth), 1, [&](int64_t task, int64_t, int thread) {
    const int64_t r = task * kBreadth, n_rows = std::min(kBreadth, w.rows - r);
    float* block = scratch_of(thread);
    for (int64_t c = 0; c < w.columns; c += kDepth) {
      const int64_t n_columns = std::min(kDepth, w.columns - c);
      decode_block(w, r, n_rows, c, n_columns, block);
      dense_.multiply(n, n_rows, n_columns, 1, {x + c, w.columns}, {block, n_columns, true},
                      c == 0 ? 0.0f : 1.0f, y + r, w.rows);
    }
    if (!bias) return;
    for (int64_t t = 0; t < n; ++t)
      for (int64_t i = r; i < r + n_rows; ++i) y[t * w.rows + i] += bias[i];
  });
}

void WeightProducts::backward(const WeightRows& w, const float* dy, int64_t n, float beta,
                              float* dx) const {
  const auto block_values = static_cast<int64_t>(find_codec(w.type)->block_values);
  const int64_t breadth = align_up(kBreadth, block_values);
  team_.parallel_for(pieces_of(w.columns, breadth), 1, [&](int64_t task, int64_t, int thread) {
    const int64_t c = task * breadth, n_columns = std::min(breadth, w.columns - c);
    float* block = scratch_of(thread);
    for (int64_t r = 0; r < w.rows; r += kDepth) {
      const int64_t n_rows = std::min(kDepth, w.rows - r);
      decode_block(w, r, n_rows, c, n_columns, block);
      dense_.multiply(n, n_columns, n_rows, 1, {dy + r, w.rows}, {block, n_columns},
                      r == 0 ? beta : 1.0f, dx + c, w.columns);
    }
  });
}

}  // namespace enxuto
