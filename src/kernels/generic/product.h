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

template <class T, int kRows>
void add_rows(const float* tile, int64_t depth, int64_t n, const float* a, int64_t a_stride,
              float* c, int64_t c_stride) {
  alignas(64) float edge[kRows][kFloatRows];
  const bool whole = n == kFloatRows;
  const float* rows[kRows];
  float* sums[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    rows[r] = a + r * a_stride;
    sums[r] = whole ? c + r * c_stride : edge[r];
    for (int64_t i = 0; !whole && i < kFloatRows; ++i) edge[r][i] = i < n ? c[r * c_stride + i] : 0;
  }
  tile_fma<T, kRows>(tile, depth, rows, sums);
  if (whole) return;
  for (int r = 0; r < kRows; ++r)
    for (int64_t i = 0; i < n; ++i) c[r * c_stride + i] = edge[r][i];
}

template <class V, class T>
void add_product(const FewRowsProduct& p) {
  alignas(64) float tile[kProductDepth * kFloatRows];
  for (int64_t column = 0; column < p.n; column += kFloatRows) {
    const int64_t n = p.n - column < kFloatRows ? p.n - column : kFloatRows;
    for (int64_t from = 0; from < p.k; from += kProductDepth) {
      const int64_t depth = p.k - from < kProductDepth ? p.k - from : kProductDepth;
      pack_columns<V>(p, from, depth, column, n, tile);
      int64_t r = 0;
      const auto rows = [&]<int kRows>(int64_t end) {
        for (; r + kRows <= end; r += kRows)
          add_rows<T, kRows>(tile, depth, n, p.a + r * p.a_stride + from, p.a_stride,
                             p.c + r * p.c_stride + column, p.c_stride);
      };
      // Two rows alone would wait for their sums: what is left becomes fours.
      const int64_t left = p.m % T::kFloatTokens;
      rows.template operator()<T::kFloatTokens>(
          left == 2 && p.m > T::kFloatTokens ? p.m - T::kFloatTokens - 2 : p.m);
      rows.template operator()<4>(p.m);
      rows.template operator()<1>(p.m);
    }
  }
}

}  // namespace enxuto::generic
