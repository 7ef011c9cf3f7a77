// Many tokens: T::kTileRows rows become a tile once (tile_pack.h), then the tokens stream past it.
#pragma once

#include "kernels/generic/tile_pack.h"
#include "kernels/kernels.h"

namespace enxuto::generic {

// Sums of n_rows rows, added to what y has (first: nothing).
template <class T, int kVectors, int kTokens>
[[gnu::always_inline]] inline void add_sums(typename T::Floats (&sum)[kVectors][kTokens],
                                            bool first, int64_t n_rows, float* y,
                                            int64_t y_stride) {
  constexpr int64_t kRows = kVectors * T::kLanes;
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    alignas(64) float edge[kRows];
    float* out = y + t * y_stride;
    const bool whole = n_rows == kRows;
    if (!whole) {
      for (int64_t r = 0; r < n_rows; ++r) edge[r] = first ? 0 : out[r];
      out = edge;
    }
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      float* lanes = out + v * T::kLanes;
      T::store(lanes, first ? sum[v][t] : T::add(T::load(lanes), sum[v][t]));
    }
    if (!whole)
      for (int64_t r = 0; r < n_rows; ++r) y[t * y_stride + r] = edge[r];
  }
}

// n columns of kVectors vectors of rows times kTokens tokens, added to what y has (first: nothing).
template <class T, class P, int kTokens, int kVectors, class Tile>
void tile_dot(const Tile& tile, int64_t from, int64_t n, const PreparedRow* x, bool first,
              int64_t n_rows, float* y, int64_t y_stride) {
  using Floats = typename T::Floats;
  Floats sum[kVectors][kTokens];
  const int8_t* codes[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    codes[t] = x[t].codes + from;
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sum[v][t] = T::zero();
  }
  for (int64_t c = 0; c < n; c += P::kGroup) {
    typename T::Ints total[kVectors][kTokens];
#pragma GCC unroll 8
    for (int part = 0; part < P::kGroup / 4; part += P::kSteps) {
      typename T::Partial narrow[kVectors][kTokens];
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        auto start = T::nothing();
        if constexpr (P::kStarts)
          start = T::template start<P::kBias>(x[t].shifts + (from + c) / 32);
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) narrow[v][t] = start;
      }
#pragma GCC unroll 1
      for (int64_t step = part; step < part + P::kSteps; ++step) {
        typename T::Bytes w[kVectors];
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v)
          w[v] = T::load_bytes(tile.codes[c / 4 + step][v * T::kLanes]);
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
          const auto four = T::broadcast_four(codes[t] + c + 4 * step);
#pragma GCC unroll 16
          for (int v = 0; v < kVectors; ++v)
            narrow[v][t] = T::template add_products<P::kSigned>(narrow[v][t], w[v], four);
        }
      }
#pragma GCC unroll 16
      for (int i = 0; i < kVectors * kTokens; ++i) {
        const int v = i / kTokens, t = i % kTokens;
        total[v][t] = part == 0 ? T::widen(narrow[v][t]) : T::widen_add(total[v][t], narrow[v][t]);
      }
    }
    const int64_t g = c / P::kGroup;
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const Floats x_scale = T::broadcast(x[t].scales + (from + c) / 32);
      Floats x_sum = T::zero();
      if constexpr (P::kOffset) {
        const float* sums = x[t].sums + (from + c) / 16;
        x_sum = P::kGroup == 16 ? T::broadcast(sums) : T::all(sums[0] + sums[1]);
      }
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        Floats scale = x_scale;
        if constexpr (!P::kRowScale)
          scale = T::multiply(T::load(tile.scales[g] + v * T::kLanes), scale);
        sum[v][t] = T::fma(T::to_floats(total[v][t]), scale, sum[v][t]);
        if constexpr (P::kOffset)
          sum[v][t] = T::fma(T::load(tile.offsets[g] + v * T::kLanes), x_sum, sum[v][t]);
      }
    }
  }
  if constexpr (P::kRowScale) {
#pragma GCC unroll 16
    for (int i = 0; i < kVectors * kTokens; ++i) {
      Floats& total = sum[i / kTokens][i % kTokens];
      total = T::multiply(T::load(tile.scale + i / kTokens * T::kLanes), total);
    }
  }
  add_sums<T>(sum, first, n_rows, y, y_stride);
}

// The tile times all tokens.
template <class T, class P, int kVectors, class Tile>
void tile_dots(const Tile& tile, int64_t from, int64_t n, const PreparedRow* x, int64_t n_tokens,
               int64_t n_rows, float* y, int64_t y_stride) {
  constexpr int kTokens = T::kTileTokens;
  const bool first = from == 0;
  int64_t t = 0;
  for (; t + kTokens <= n_tokens; t += kTokens)
    tile_dot<T, P, kTokens, kVectors>(tile, from, n, x + t, first, n_rows, y + t * y_stride,
                                      y_stride);
  for (; t < n_tokens; ++t)
    tile_dot<T, P, 1, kVectors>(tile, from, n, x + t, first, n_rows, y + t * y_stride, y_stride);
}

// Columns [from, from + n) of n_rows rows, which come next.
template <class V, class F>
void ask_for(const MatrixView& w, int64_t row, int64_t end, int64_t from, int64_t n_rows,
             int64_t n) {
  if (n > w.columns - from) n = w.columns - from;
  if (end > row + n_rows) end = row + n_rows;
  for (; row < end; ++row) {
    const uint8_t* first = w.data + static_cast<uint64_t>(row) * w.row_bytes +
                           static_cast<uint64_t>(from / F::kValues * F::kBytes);
    for (int64_t i = 0; i < n / F::kValues * F::kBytes; i += 64) V::prefetch_l2(first + i);
  }
}

template <class V, class T, class F, class Tiles = ExactTiles<V, T, F>>
void many_tokens(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                 int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  using Tile = typename Tiles::Tile;
  using P = typename Tiles::Format;
  static_assert(sizeof(Tile) <= kKernelScratchFloats * sizeof(float));
  constexpr int64_t kRows = T::kTileRows, kColumns = Tile::kColumns;
  auto& tile = *reinterpret_cast<Tile*>(scratch);
  for (int64_t r = begin; r < end; r += kRows) {
    const int64_t n_rows = end - r < kRows ? end - r : kRows;
    for (int64_t c = 0; c < w.columns; c += kColumns) {
      const int64_t n = w.columns - c < kColumns ? w.columns - c : kColumns;
      Tiles::pack(w, r, n_rows, c, n, tile);
      const bool last = c + n == w.columns;
      ask_for<V, F>(w, last ? r + kRows : r, end, last ? 0 : c + n, kRows, kColumns);
      float* out = y + r - begin;
      if (n_rows > 16)
        tile_dots<T, P, kRows / T::kLanes>(tile, c, n, x, n_tokens, n_rows, out, y_stride);
      else
        tile_dots<T, P, 16 / T::kLanes>(tile, c, n, x, n_tokens, n_rows, out, y_stride);
    }
  }
}

}  // namespace enxuto::generic
