// Many tokens: sixteen rows are unpacked once into a tile of bytes that any format shares, then the
// tokens stream past it. Tile vectors T hold one row per lane (8 or 16 lanes):
//   codes   four neighbouring columns of a row in a lane, sixteen rows side by side
//   scales, offsets   per group of columns, one float per row: value = scale * code + offset
#pragma once

#include <utility>

#include "kernels/generic/formats.h"
#include "kernels/kernels.h"

namespace enxuto::generic {

inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kTileColumns = 1024;

struct Tile {
  uint8_t codes[kTileColumns / 4][kTileRows][4];
  float scales[kTileColumns / 16][kTileRows];
  float offsets[kTileColumns / 16][kTileRows];
};
static_assert(sizeof(Tile) <= kKernelScratchFloats * sizeof(float));

// What a format is in the tile of vectors T.
template <class T, class F>
struct TileFormat : Unsigned<T, F> {
  using Unsigned<T, F>::kBias;
  static constexpr bool kOffset = kBias != 0 || F::kMin;
  static constexpr int kGroup = 32 / F::kScales;
  // Products of 4 columns that a narrow sum holds; where T is unsigned only, sums are wide.
  static constexpr int kRoom = 32767 / (2 * 127 * F::kMax);
  static constexpr int kSteps = T::kUnsignedOnly || kGroup / 4 <= kRoom ? kGroup / 4
                                : kRoom >= 4                            ? 4
                                : kRoom >= 2                            ? 2
                                                                        : 1;
};

// The scales and offsets of one block into lane `r` from group `g` on.
template <class V, class T, class F>
void pack_scales(const uint8_t* b, Tile& tile, int64_t g, int64_t r) {
  using Floats = typename V::Floats;
  constexpr auto bias = static_cast<float>(TileFormat<T, F>::kBias);
  if constexpr (F::kSuper) {
    constexpr int n = 8 * F::kScales;
    Floats s[2], m[2];
    float scales[n], minima[n] = {};
    F::scales(b, s, m);
#pragma GCC unroll 16
    for (int i = 0; i < F::kScales; ++i) {
      V::store(scales + 8 * i, s[i]);
      if constexpr (F::kMin) V::store(minima + 8 * i, m[i]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) {
      tile.scales[g + i][r] = scales[i];
      if constexpr (TileFormat<T, F>::kOffset)
        tile.offsets[g + i][r] = F::kMin ? -minima[i] : -bias * scales[i];
    }
  } else {
    Floats s, m;
    if constexpr (F::kMin)
      F::scale_and_offset(b, s, m);
    else
      s = F::scale(b), m = V::multiply(s, V::all(-bias));
#pragma GCC unroll 16
    for (int i = 0; i < F::kGroups; ++i) {
      tile.scales[g + i][r] = V::first(s);
      if constexpr (TileFormat<T, F>::kOffset) tile.offsets[g + i][r] = V::first(m);
    }
  }
}

// Group g of a block of each of eight rows.
template <class V, class T, class F, int g>
void pack_codes(const uint8_t* w, uint64_t row_bytes, uint8_t (*codes)[kTileRows][4]) {
  typename V::Floats rows[8];
#pragma GCC unroll 16
  for (int r = 0; r < 8; ++r) {
    auto a = codes_of<V, F, g>(w + static_cast<uint64_t>(r) * row_bytes);
    if constexpr (TileFormat<T, F>::kShift) a = V::subtract_bytes(a, V::all_bytes(-128));
    rows[r] = V::as_floats(a);
  }
  V::transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < 8; ++i) V::store(reinterpret_cast<float*>(codes[8 * g + i]), rows[i]);
}

// Columns [from, from + n) of sixteen rows; blocks of zero bytes where the matrix has fewer.
template <class V, class T, class F>
void pack(const MatrixView& w, int64_t row, int64_t n_rows, int64_t from, int64_t n, Tile& tile) {
  constexpr int kBlockScales = F::kGroups * F::kScales;
  const uint8_t* base = w.data + static_cast<uint64_t>(row) * w.row_bytes +
                        static_cast<uint64_t>(from / F::kValues * F::kBytes);
  for (int64_t half = 0; half < kTileRows; half += 8) {
    uint8_t edge[8][F::kBytes] = {};
    for (int64_t b = 0; b < n / F::kValues; ++b) {
      const uint8_t* first = base + b * F::kBytes + static_cast<uint64_t>(half) * w.row_bytes;
      uint64_t stride = w.row_bytes;
      if (half + 8 > n_rows) {
        for (int64_t r = 0; half + r < n_rows; ++r)
          __builtin_memcpy(edge[r], first + static_cast<uint64_t>(r) * stride, F::kBytes);
        first = edge[0], stride = F::kBytes;
      }
      auto* codes = tile.codes + b * (F::kValues / 4);
      auto* lanes = reinterpret_cast<uint8_t(*)[kTileRows][4]>(&codes[0][half]);
      [&]<int... g>(std::integer_sequence<int, g...>) {
        (pack_codes<V, T, F, g>(first, stride, lanes), ...);
      }(std::make_integer_sequence<int, F::kGroups>());
      for (int64_t r = 0; r < 8; ++r)
        pack_scales<V, T, F>(first + static_cast<uint64_t>(r) * stride, tile, b * kBlockScales,
                             half + r);
    }
  }
}

// n columns of the tile times kTokens tokens, added to what y has (first: nothing).
template <class T, class F, int kTokens>
void tile_dot(const Tile& tile, int64_t from, int64_t n, const PreparedRow* x, bool first,
              int64_t n_rows, float* y, int64_t y_stride) {
  using P = TileFormat<T, F>;
  using Floats = typename T::Floats;
  constexpr int kVectors = kTileRows / T::kLanes;
  Floats sum[kVectors][kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    alignas(64) float before[kTileRows] = {};
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
    alignas(64) float after[kTileRows];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) T::store(after + v * T::kLanes, sum[v][t]);
    for (int64_t r = 0; r < n_rows; ++r) y[t * y_stride + r] = after[r];
  }
}

template <class V, class T, class F>
void many_tokens(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                 int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  auto& tile = *reinterpret_cast<Tile*>(scratch);
  constexpr int kTokens = T::kTileTokens;
  for (int64_t r = begin; r < end; r += kTileRows) {
    const int64_t n_rows = end - r < kTileRows ? end - r : kTileRows;
    for (int64_t c = 0; c < w.columns; c += kTileColumns) {
      const int64_t n = w.columns - c < kTileColumns ? w.columns - c : kTileColumns;
      pack<V, T, F>(w, r, n_rows, c, n, tile);
      float* out = y + r - begin;
      int64_t t = 0;
      for (; t + kTokens <= n_tokens; t += kTokens)
        tile_dot<T, F, kTokens>(tile, c, n, x + t, c == 0, n_rows, out + t * y_stride, y_stride);
      for (; t < n_tokens; ++t)
        tile_dot<T, F, 1>(tile, c, n, x + t, c == 0, n_rows, out + t * y_stride, y_stride);
    }
  }
}

}  // namespace enxuto::generic
