// Many tokens, where a weight may be off by a few thousandths (TileWeights::kRescaled): rows of
// super-blocks become a tile of bytes (tile.h) with one scale a row. A group's products then cost
// one addition of floats, and all formats have the same dot product.
//   value ~ scale[row] * (code - 128)
#pragma once

#include "kernels/generic/tile.h"

namespace enxuto::generic {

template <class T>
struct RescaledTile {
  static constexpr int64_t kRows = T::kTileRows, kColumns = Tile<T>::kColumns;
  uint8_t codes[kColumns / 4][kRows][4];
  // Of the groups of blocks, as in Tile; then in their place how codes become those of the tile,
  // by words that stand in both halves of a lane:
  //   256 code = scales * block's code + offsets
  float scales[kColumns / 16][kRows];
  float offsets[kColumns / 16][kRows];
  float scale[kRows];
};

// Whether V has what it takes.
template <class V, class F>
concept Rescales = F::kSuper && requires(typename V::Floats a) { V::rescale(a, a, a); };

// The scale of eight rows, which have n_groups, and from their groups' what rescale() takes.
template <class V, class T, class F>
void choose_scale(RescaledTile<T>& tile, int64_t n_groups, int64_t r) {
  constexpr int kBelow = F::kSigned ? F::kMax : F::kBias, kAbove = F::kMax - F::kBias;
  constexpr float kMost = kBelow > kAbove ? kBelow : kAbove;
  auto most = V::all(0x1p-100f);  // rows of zeros, or nearly: no factor overflows
  for (int64_t g = 0; g < n_groups; ++g) {
    const auto s = V::load(tile.scales[g] + r);
    if constexpr (F::kMin) {
      const auto lowest = V::load(tile.offsets[g] + r);
      const auto highest = V::fma(s, V::all(F::kMax), lowest);
      most = V::maximum_or_nan(most, V::maximum_or_nan(V::absolute(lowest), V::absolute(highest)));
    } else {
      most = V::maximum_or_nan(most, V::absolute(V::multiply(s, V::all(kMost))));
    }
  }
  V::store(tile.scale + r, V::multiply(most, V::all(1.0f / 127)));
  const auto inverse = V::divide(V::all(127 * 256.0f), most);
  for (int64_t g = 0; g < n_groups; ++g) {
    const auto factor = V::round_to_ints(V::multiply(V::load(tile.scales[g] + r), inverse));
    auto offset = V::all(128 * 256 + 128);  // half a code more rounds to the nearest
    if constexpr (F::kMin)
      offset = V::fma(V::load(tile.offsets[g] + r), inverse, offset);
    else
      offset = V::negative_fma(V::to_floats(factor), V::all(Unsigned<V, F>::kBias), offset);
    V::store(tile.scales[g] + r, V::as_floats(V::both_words(factor)));
    V::store(tile.offsets[g] + r, V::as_floats(V::both_words(V::round_to_ints(offset))));
  }
}

// Columns [from, from + n) of n_rows rows.
template <class V, class T, class F>
void pack_rescaled(const MatrixView& w, int64_t row, int64_t n_rows, int64_t from, int64_t n,
                   RescaledTile<T>& tile) {
  constexpr int kBlockScales = 8 * F::kScales;
  const auto each_block = [&](int64_t r, const auto& body) {
    for (int64_t b = 0; b < n / 256; ++b)
      body(b, EightBlocks<F>(w, row + r, n_rows - r, from / 256 + b),
           tile.scales + b * kBlockScales, tile.offsets + b * kBlockScales);
  };
  for (int64_t r = 0; r < packed_rows(n_rows); r += 8) {
    each_block(r, [&](int64_t, const auto& blocks, auto* scales, auto* offsets) {
      pack_scales<V, T>(blocks, scales, offsets, r);
    });
    choose_scale<V, T, F>(tile, n / 256 * kBlockScales, r);
    each_block(r, [&](int64_t b, const auto& blocks, auto* scales, auto* offsets) {
      pack_codes<V, T>(blocks, lanes_of<T>(tile.codes[64 * b], r), [&](int i, auto codes) {
        const int group = i * F::kScales / 8;
        return V::rescale(codes, V::load(scales[group] + r), V::load(offsets[group] + r));
      });
    });
  }
}

// n columns of kVectors vectors of rows times kTokens tokens, added to what y has (first: nothing).
template <class T, int kTokens, int kVectors>
void rescaled_dot(const RescaledTile<T>& tile, int64_t from, int64_t n, const PreparedRow* x,
                  bool first, int64_t n_rows, float* y, int64_t y_stride) {
  typename T::Floats sum[kVectors][kTokens];
  const int8_t* codes[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    codes[t] = x[t].codes + from;
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sum[v][t] = T::zero();
  }
  for (int64_t c = 0; c < n; c += 32) {
    typename T::Ints total[kVectors][kTokens];
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const auto shift = T::template start<128>(x[t].shifts + (from + c) / 32);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) total[v][t] = shift;
    }
#pragma GCC unroll 1
    for (int64_t step = c / 4; step < c / 4 + 8; ++step) {
      typename T::Bytes w[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) w[v] = T::load_bytes(tile.codes[step][v * T::kLanes]);
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        const auto four = T::broadcast_four(codes[t] + 4 * step);
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v)
          total[v][t] = T::template add_products<false>(total[v][t], w[v], four);
      }
    }
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const auto scale = T::broadcast(x[t].scales + (from + c) / 32);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v)
        sum[v][t] = T::fma(T::to_floats(total[v][t]), scale, sum[v][t]);
    }
  }
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v)
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t)
      sum[v][t] = T::multiply(T::load(tile.scale + v * T::kLanes), sum[v][t]);
  add_sums<T>(sum, first, n_rows, y, y_stride);
}

template <class T, int kVectors>
void rescaled_dots(const RescaledTile<T>& tile, int64_t from, int64_t n, const PreparedRow* x,
                   int64_t n_tokens, int64_t n_rows, float* y, int64_t y_stride) {
  constexpr int kTokens = T::kTileTokens;
  const bool first = from == 0;
  int64_t t = 0;
  for (; t + kTokens <= n_tokens; t += kTokens)
    rescaled_dot<T, kTokens, kVectors>(tile, from, n, x + t, first, n_rows, y + t * y_stride,
                                       y_stride);
  for (; t < n_tokens; ++t)
    rescaled_dot<T, 1, kVectors>(tile, from, n, x + t, first, n_rows, y + t * y_stride, y_stride);
}

// Columns [from, from + n) of n_rows rows, which come next.
template <class V, class F>
void ask_for(const MatrixView& w, int64_t row, int64_t end, int64_t from, int64_t n_rows,
             int64_t n) {
  if (n > w.columns - from) n = w.columns - from;
  if (end > row + n_rows) end = row + n_rows;
  for (; row < end; ++row) {
    const uint8_t* first = w.data + static_cast<uint64_t>(row) * w.row_bytes +
                           static_cast<uint64_t>(from / 256 * F::kBytes);
    for (int64_t i = 0; i < n / 256 * F::kBytes; i += 64) V::prefetch_l2(first + i);
  }
}

template <class V, class T, class F>
void many_tokens_rescaled(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                          int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  using Tile = RescaledTile<T>;
  static_assert(sizeof(Tile) <= kKernelScratchFloats * sizeof(float));
  auto& tile = *reinterpret_cast<Tile*>(scratch);
  for (int64_t r = begin; r < end; r += Tile::kRows) {
    const int64_t n_rows = end - r < Tile::kRows ? end - r : Tile::kRows;
    for (int64_t c = 0; c < w.columns; c += Tile::kColumns) {
      const int64_t n = w.columns - c < Tile::kColumns ? w.columns - c : Tile::kColumns;
      pack_rescaled<V, T, F>(w, r, n_rows, c, n, tile);
      const bool last = c + n == w.columns;
      ask_for<V, F>(w, last ? r + Tile::kRows : r, end, last ? 0 : c + n, Tile::kRows,
                    Tile::kColumns);
      float* out = y + r - begin;
      if (n_rows > 16)
        rescaled_dots<T, Tile::kRows / T::kLanes>(tile, c, n, x, n_tokens, n_rows, out, y_stride);
      else
        rescaled_dots<T, 16 / T::kLanes>(tile, c, n, x, n_tokens, n_rows, out, y_stride);
    }
  }
}

}  // namespace enxuto::generic
