// Many tokens: T::kTileRows rows are unpacked once into a tile of bytes that any format shares,
// then the tokens stream past it. Tile vectors T hold one row per lane (8 or 16 lanes); two of them
// share what is loaded of the tokens:
//   codes   four neighbouring columns of a row in a lane, all rows side by side
//   scales, offsets   per group of columns, one float per row: value = scale * code + offset
#pragma once

#include <utility>

#include "kernels/generic/formats.h"
#include "kernels/kernels.h"

namespace enxuto::generic {

// As large for any number of rows: half an L1 cache.
template <int64_t kRows>
struct TileOf {
  static constexpr int64_t kColumns = 16384 / kRows;
  uint8_t codes[kColumns / 4][kRows][4];
  float scales[kColumns / 16][kRows];
  float offsets[kColumns / 16][kRows];
};
template <class T>
using Tile = TileOf<T::kTileRows>;
inline constexpr int64_t kTileFloats = sizeof(TileOf<16>) / sizeof(float);
static_assert(kTileFloats <= kKernelScratchFloats && sizeof(TileOf<32>) == sizeof(TileOf<16>));

// What a format is in the tile of vectors T.
template <class T, class F>
struct TileFormat : Unsigned<T, F> {
  using Unsigned<T, F>::kBias;
  static constexpr bool kOffset = kBias != 0 || F::kMin;
  static constexpr int kGroup = 32 / F::kScales;
  // Products of 4 columns that a narrow sum holds.
  static constexpr int kRoom = 32767 / (2 * 127 * F::kMax);
  static constexpr int kSteps = T::kWideSums || kGroup / 4 <= kRoom ? kGroup / 4
                                : kRoom >= 4                        ? 4
                                : kRoom >= 2                        ? 2
                                                                    : 1;
};

// The scales and offsets of a block of each of eight rows, from group `g` and row `r` on.
template <class V, class T, class F>
void pack_scales(const uint8_t* w, uint64_t row_bytes, Tile<T>& tile, int64_t g, int64_t r) {
  using Floats = typename V::Floats;
  constexpr auto bias = static_cast<float>(TileFormat<T, F>::kBias);
  if constexpr (F::kSuper) {
    Floats scales[2][8], offsets[2][8];
    for (int i = 0; i < 8; ++i) {
      Floats s[2], m[2];
      F::scales(w + static_cast<uint64_t>(i) * row_bytes, s, m);
#pragma GCC unroll 2
      for (int k = 0; k < F::kScales; ++k) {
        scales[k][i] = s[k];
        if constexpr (TileFormat<T, F>::kOffset)
          offsets[k][i] = F::kMin ? V::subtract(V::zero(), m[k]) : V::multiply(s[k], V::all(-bias));
      }
    }
#pragma GCC unroll 2
    for (int k = 0; k < F::kScales; ++k) {
      V::transpose(scales[k]);
      if constexpr (TileFormat<T, F>::kOffset) V::transpose(offsets[k]);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        V::store(tile.scales[g + 8 * k + i] + r, scales[k][i]);
        if constexpr (TileFormat<T, F>::kOffset)
          V::store(tile.offsets[g + 8 * k + i] + r, offsets[k][i]);
      }
    }
  } else {
    for (int row = 0; row < 8; ++row) {
      const uint8_t* b = w + static_cast<uint64_t>(row) * row_bytes;
      [&]<int... i>(std::integer_sequence<int, i...>) {
        const auto group = [&]<int k>() {
          Floats s, m;
          if constexpr (F::kMin)
            F::scale_and_offset(b, s, m);
          else if constexpr (F::kScales == 2)
            s = V::all(F::template scale_of<k>(b)), m = V::multiply(s, V::all(-bias));
          else
            s = F::scale(b), m = V::multiply(s, V::all(-bias));
          tile.scales[g + k][r + row] = V::first(s);
          if constexpr (TileFormat<T, F>::kOffset) tile.offsets[g + k][r + row] = V::first(m);
        };
        (group.template operator()<i>(), ...);
      }(std::make_integer_sequence<int, F::kGroups * F::kScales>());
    }
  }
}

// Group g of a block of each of eight rows.
template <class V, class T, class F, int g>
void pack_codes(const uint8_t* w, uint64_t row_bytes, uint8_t (*codes)[T::kTileRows][4]) {
  static_assert(V::kUnsignedOnly == T::kUnsignedOnly);
  typename V::Floats rows[8];
#pragma GCC unroll 16
  for (int r = 0; r < 8; ++r) {
    const uint8_t* row = w + static_cast<uint64_t>(r) * row_bytes;
    rows[r] = V::as_floats(Unsigned<V, F>::template codes<g>(row));
  }
  V::transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < 8; ++i) V::store(reinterpret_cast<float*>(codes[8 * g + i]), rows[i]);
}

// Columns [from, from + n) of n_rows rows; blocks of zero bytes up to a whole number of vectors.
template <class V, class T, class F>
void pack(const MatrixView& w, int64_t row, int64_t n_rows, int64_t from, int64_t n,
          Tile<T>& tile) {
  constexpr int kBlockScales = F::kGroups * F::kScales;
  const uint8_t* base = w.data + static_cast<uint64_t>(row) * w.row_bytes +
                        static_cast<uint64_t>(from / F::kValues * F::kBytes);
  const int64_t n_packed = (n_rows + 15) / 16 * 16;
  for (int64_t eight = 0; eight < n_packed; eight += 8) {
    uint8_t edge[8][F::kBytes] = {};
    for (int64_t b = 0; b < n / F::kValues; ++b) {
      const uint8_t* first = base + b * F::kBytes + static_cast<uint64_t>(eight) * w.row_bytes;
      uint64_t stride = w.row_bytes;
      if (eight + 8 > n_rows) {
        for (int64_t r = 0; eight + r < n_rows; ++r)
          __builtin_memcpy(edge[r], first + static_cast<uint64_t>(r) * stride, F::kBytes);
        first = edge[0], stride = F::kBytes;
      }
      auto* codes = tile.codes + b * (F::kValues / 4);
      auto* lanes = reinterpret_cast<uint8_t(*)[T::kTileRows][4]>(&codes[0][eight]);
      [&]<int... g>(std::integer_sequence<int, g...>) {
        (pack_codes<V, T, F, g>(first, stride, lanes), ...);
      }(std::make_integer_sequence<int, F::kGroups>());
      pack_scales<V, T, F>(first, stride, tile, b * kBlockScales, eight);
    }
  }
}

// n columns of kVectors vectors of rows times kTokens tokens, added to what y has (first: nothing).
template <class T, class F, int kTokens, int kVectors>
void tile_dot(const Tile<T>& tile, int64_t from, int64_t n, const PreparedRow* x, bool first,
              int64_t n_rows, float* y, int64_t y_stride) {
  using P = TileFormat<T, F>;
  using Floats = typename T::Floats;
  constexpr int64_t kRows = kVectors * T::kLanes;
  Floats sum[kVectors][kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    alignas(64) float before[kRows] = {};
    if (!first)
      for (int64_t r = 0; r < n_rows; ++r) before[r] = y[t * y_stride + r];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sum[v][t] = T::load(before + v * T::kLanes);
  }
  const int8_t* codes[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) codes[t] = x[t].codes + from;
  for (int64_t c = 0; c < n; c += P::kGroup) {
    typename T::Ints total[kVectors][kTokens];
#pragma GCC unroll 8
    for (int part = 0; part < P::kGroup / 4; part += P::kSteps) {
      typename T::Partial narrow[kVectors][kTokens];
#pragma GCC unroll 16
      for (int i = 0; i < kVectors * kTokens; ++i) narrow[i / kTokens][i % kTokens] = T::nothing();
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
        const Floats scale = T::load(tile.scales[g] + v * T::kLanes);
        sum[v][t] = T::fma(T::to_floats(total[v][t]), T::multiply(scale, x_scale), sum[v][t]);
        if constexpr (P::kOffset)
          sum[v][t] = T::fma(T::load(tile.offsets[g] + v * T::kLanes), x_sum, sum[v][t]);
      }
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    alignas(64) float after[kRows];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) T::store(after + v * T::kLanes, sum[v][t]);
    for (int64_t r = 0; r < n_rows; ++r) y[t * y_stride + r] = after[r];
  }
}

// The tile times all tokens.
template <class T, class F, int kVectors>
void tile_dots(const Tile<T>& tile, int64_t from, int64_t n, const PreparedRow* x, int64_t n_tokens,
               int64_t n_rows, float* y, int64_t y_stride) {
  constexpr int kTokens = T::kTileTokens;
  const bool first = from == 0;
  int64_t t = 0;
  for (; t + kTokens <= n_tokens; t += kTokens)
    tile_dot<T, F, kTokens, kVectors>(tile, from, n, x + t, first, n_rows, y + t * y_stride,
                                      y_stride);
  for (; t < n_tokens; ++t)
    tile_dot<T, F, 1, kVectors>(tile, from, n, x + t, first, n_rows, y + t * y_stride, y_stride);
}

template <class V, class T, class F>
void many_tokens(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                 int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  constexpr int64_t kRows = T::kTileRows, kColumns = Tile<T>::kColumns;
  auto& tile = *reinterpret_cast<Tile<T>*>(scratch);
  for (int64_t r = begin; r < end; r += kRows) {
    const int64_t n_rows = end - r < kRows ? end - r : kRows;
    for (int64_t c = 0; c < w.columns; c += kColumns) {
      const int64_t n = w.columns - c < kColumns ? w.columns - c : kColumns;
      pack<V, T, F>(w, r, n_rows, c, n, tile);
      float* out = y + r - begin;
      if (n_rows > 16)
        tile_dots<T, F, kRows / T::kLanes>(tile, c, n, x, n_tokens, n_rows, out, y_stride);
      else
        tile_dots<T, F, 16 / T::kLanes>(tile, c, n, x, n_tokens, n_rows, out, y_stride);
    }
  }
}

}  // namespace enxuto::generic
