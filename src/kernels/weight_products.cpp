#include "kernels/weight_products.h"

#include <algorithm>

#include "base/checked.h"
#include "kernels/kernels.h"

namespace enxuto {
namespace {

// A block of weights is kDepth long in the direction of the sum and at least kBreadth in the other;
// decoded it stays in a core's second cache. No format's block is longer than kDepth.
constexpr int64_t kBreadth = 128, kDepth = 256;
constexpr int64_t kBlockFloats = kDepth * kDepth;
constexpr int64_t kScratchFloats = kBlockFloats + kBlockFloats / 2;  // and the block in bf16
// Rows of a gradient that one thread adds to, and values that it rounds.
constexpr int64_t kGradientRows = 128, kRoundedAtOnce = 4096;

using Piece = WeightRows::Piece;

std::vector<Piece>::const_iterator piece_of(const WeightRows& w, int64_t row) {
  return std::upper_bound(w.pieces.begin(), w.pieces.end(), row,
                          [](int64_t r, const Piece& p) { return r < p.first_row; }) -
         1;
}

// Rows [r, r + n_rows), columns [c, c + n_columns) as floats, rows n_columns apart.
void decode_block(const WeightRows& w, int64_t r, int64_t n_rows, int64_t c, int64_t n_columns,
                  float* values) {
  const Codec& codec = *find_codec(w.type);
  const uint64_t skip = codec.row_bytes(static_cast<uint64_t>(c));
  auto piece = piece_of(w, r);
  for (int64_t i = r; i < r + n_rows; ++i, values += n_columns) {
    if (piece + 1 != w.pieces.end() && i >= piece[1].first_row) ++piece;
    codec.decode(piece->data + static_cast<uint64_t>(i - piece->first_row) * w.row_bytes + skip,
                 values, static_cast<size_t>(n_columns));
  }
}

// Where rows [r, r + n_rows) lie from column c on; null where they are of another type, lie in two
// pieces, or not as numbers of this type have to.
template <class Number>
const Number* stored_block(const WeightRows& w, Type type, int64_t r, int64_t n_rows, int64_t c) {
  const auto piece = piece_of(w, r);
  const bool parted = piece + 1 != w.pieces.end() && r + n_rows > piece[1].first_row;
  const uint8_t* at = piece->data + static_cast<uint64_t>(r - piece->first_row) * w.row_bytes;
  if (w.type != type || parted || (reinterpret_cast<uintptr_t>(at) | w.row_bytes) % sizeof(Number))
    return nullptr;
  return reinterpret_cast<const Number*>(at) + c;
}

int64_t pieces_of(int64_t n, int64_t piece) { return (n + piece - 1) / piece; }

}  // namespace

WeightRows WeightRows::part(int64_t first, int64_t n) const {
  WeightRows part = {type, n, columns, row_bytes, {}};
  for (auto piece = piece_of(*this, first); piece != pieces.end() && piece->first_row < first + n;
       ++piece) {
    const int64_t row = std::max(piece->first_row, first);
    part.pieces.push_back(
        {row - first, piece->data + static_cast<uint64_t>(row - piece->first_row) * row_bytes});
  }
  return part;
}

// A matrix of a product: as it is, or rounded; one of them may be null.
struct WeightProducts::Operand {
  const float* exact;
  const uint16_t* rounded;
  int64_t stride;
  bool transposed = false;
  Operand at(int64_t offset) const {
    return {exact ? exact + offset : nullptr, rounded ? rounded + offset : nullptr, stride,
            transposed};
  }
  Operand turned() const { return {exact, rounded, stride, !transposed}; }
};

uint64_t WeightProducts::scratch_floats(int n_threads) {
  return static_cast<uint64_t>(n_threads) * kScratchFloats;
}

WeightProducts::Operand WeightProducts::block(const WeightRows& w, int64_t row, int64_t n_rows,
                                              int64_t column, int64_t n_columns, int thread) const {
  if (rounded_)
    if (const auto* stored = stored_block<uint16_t>(w, Type::BF16, row, n_rows, column))
      return {nullptr, stored, static_cast<int64_t>(w.row_bytes / sizeof *stored)};
  float* decoded = scratch_ + thread * kScratchFloats;
  Operand values = {stored_block<float>(w, Type::F32, row, n_rows, column), nullptr,
                    static_cast<int64_t>(w.row_bytes / sizeof(float))};
  if (!values.exact) {
    decode_block(w, row, n_rows, column, n_columns, decoded);
    values = {decoded, nullptr, n_columns};
  }
  if (!rounded_) return values;
  auto* rounded = reinterpret_cast<uint16_t*>(decoded + kBlockFloats);
  for (int64_t i = 0; i < n_rows; ++i)
    kernels().round_to_bf16(values.exact + i * values.stride, n_columns, rounded + i * n_columns);
  return {nullptr, rounded, n_columns};
}

WeightProducts::Operand WeightProducts::input(const float* values, int64_t n_rows,
                                              int64_t n_columns, uint16_t* rounded) const {
  if (!rounded) return {values, nullptr, n_columns};
  const int64_t n = n_rows * n_columns;
  team_.parallel_for(pieces_of(n, kRoundedAtOnce), 1, [&](int64_t piece, int64_t, int) {
    const int64_t begin = piece * kRoundedAtOnce;
    kernels().round_to_bf16(values + begin, std::min(kRoundedAtOnce, n - begin), rounded + begin);
  });
  return {values, rounded, n_columns};
}

void WeightProducts::multiply(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b,
                              float beta, float* c, int64_t c_stride) const {
  if (rounded_)
    dense_.multiply(m, n, k, RoundedMatrix{a.rounded, a.stride, a.transposed},
                    RoundedMatrix{b.rounded, b.stride, b.transposed}, beta, c, c_stride);
  else
    dense_.multiply(m, n, k, 1, {a.exact, a.stride, a.transposed},
                    {b.exact, b.stride, b.transposed}, beta, c, c_stride);
}

void WeightProducts::forward(const WeightRows& w, const float* x, int64_t n, const float* bias,
                             float* y) const {
  const Operand inputs = input(x, n, w.columns, rounded_);
  team_.parallel_for(pieces_of(w.rows, kBreadth), 1, [&](int64_t task, int64_t, int thread) {
    const int64_t r = task * kBreadth, n_rows = std::min(kBreadth, w.rows - r);
    for (int64_t c = 0; c < w.columns; c += kDepth) {
      const int64_t n_columns = std::min(kDepth, w.columns - c);
      const Operand weights = block(w, r, n_rows, c, n_columns, thread);
      multiply(n, n_rows, n_columns, inputs.at(c), weights.turned(), c == 0 ? 0.0f : 1.0f, y + r,
               w.rows);
    }
    if (!bias) return;
    for (int64_t t = 0; t < n; ++t) kernels().add(bias + r, n_rows, y + t * w.rows + r);
  });
}

void WeightProducts::backward(const WeightRows& w, const float* dy, int64_t n, float beta,
                              float* dx) const {
  const Operand gradients = input(dy, n, w.rows, rounded_);
  const auto block_values = static_cast<int64_t>(find_codec(w.type)->block_values);
  const int64_t breadth = align_up(kBreadth, block_values);
  team_.parallel_for(pieces_of(w.columns, breadth), 1, [&](int64_t task, int64_t, int thread) {
    const int64_t c = task * breadth, n_columns = std::min(breadth, w.columns - c);
    for (int64_t r = 0; r < w.rows; r += kDepth) {
      const int64_t n_rows = std::min(kDepth, w.rows - r);
      const Operand weights = block(w, r, n_rows, c, n_columns, thread);
      multiply(n, n_columns, n_rows, gradients.at(r), weights, r == 0 ? beta : 1.0f, dx + c,
               w.columns);
    }
  });
}

void WeightProducts::add_gradient(const float* dy, int64_t n_rows, const float* x,
                                  int64_t n_columns, int64_t n, float* dw) const {
  const Operand gradients = input(dy, n, n_rows, rounded_),
                inputs = input(x, n, n_columns, rounded_ ? rounded_ + n * n_rows : nullptr);
  team_.parallel_for(pieces_of(n_rows, kGradientRows), 1, [&](int64_t task, int64_t, int) {
    const int64_t r = task * kGradientRows;
    multiply(std::min(kGradientRows, n_rows - r), n_columns, n, gradients.at(r).turned(), inputs, 1,
             dw + r * n_columns, n_columns);
  });
}

}  // namespace enxuto
