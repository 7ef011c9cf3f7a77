// Products of a few rows: sixteen columns of b become a tile that fits the first cache, then the
// rows of a go past it.
#pragma once

#include "kernels/generic/float_rows.h"

namespace enxuto::generic {

inline constexpr int64_t kProductDepth = 256;  // rows of b in a tile

// Rows [from, from + depth) of b's columns [column, column + n), times scale; zeros beyond n.
template <class V>
void pack_columns(const FewRowsProduct& p, int64_t from, int64_t depth, int64_t column, int64_t n,
                  float* tile) {
  const auto scale = V::all(p.scale);
  if (p.b_transposed) {
    transpose_rows<V, F32Loader<V>>(
        reinterpret_cast<const uint8_t*>(p.b + column * p.b_stride + from),
        static_cast<uint64_t>(p.b_stride) * sizeof(float), n, depth, tile);
    for (int64_t i = 0; i < depth * kFloatRows; i += 8)
      V::store(tile + i, V::multiply(V::load(tile + i), scale));
    return;
  }
  const float* b = p.b + from * p.b_stride + column;
  for (int64_t k = 0; k < depth; ++k, b += p.b_stride, tile += kFloatRows) {
    if (n == kFloatRows) {
      V::store(tile, V::multiply(V::load(b), scale));
      V::store(tile + 8, V::multiply(V::load(b + 8), scale));
    } else {
      for (int64_t i = 0; i < kFloatRows; ++i) tile[i] = i < n ? p.scale * b[i] : 0;
    }
  }
}

template <class V, class T>
void add_product(const FewRowsProduct& p) {
  alignas(64) float tile[kProductDepth * kFloatRows];
  for (int64_t column = 0; column < p.n; column += kFloatRows) {
    const int64_t n = p.n - column < kFloatRows ? p.n - column : kFloatRows;
    for (int64_t from = 0; from < p.k; from += kProductDepth) {
      const int64_t depth = p.k - from < kProductDepth ? p.k - from : kProductDepth;
      pack_columns<V>(p, from, depth, column, n, tile);
      in_handfuls<T>(p.m, [&]<int kFew>(int64_t r) {
        const float* rows[kFew];
        for (int i = 0; i < kFew; ++i) rows[i] = p.a + (r + i) * p.a_stride + from;
        add_tile<T, kFew>(tile, depth, rows, n, p.c + r * p.c_stride + column, p.c_stride);
      });
    }
  }
}

}  // namespace enxuto::generic
