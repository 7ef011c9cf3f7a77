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
  static constexpr int kGroup = 32 / F::kScales;
  // The sums begin with what the bias takes off, where T has that and they are of 32 columns.
  static constexpr bool kStarts = kBias != 0 && kGroup == 32 && requires(const int32_t* shift) {
    T::template start<kBias>(shift);
  };
  static constexpr bool kOffset = (kBias != 0 && !kStarts) || F::kMin;
  // Products of 4 columns that a narrow sum holds.
  static constexpr int kRoom = 32767 / (2 * 127 * F::kMax);
  static constexpr int kSteps = T::kWideSums || kGroup / 4 <= kRoom ? kGroup / 4
                                : kRoom >= 4                        ? 4
                                : kRoom >= 2                        ? 2
                                                                    : 1;
};

// Block `block` of each of eight rows from `row` on; zero bytes where there are only `n`.
template <class F>
struct EightBlocks {
  EightBlocks(const MatrixView& w, int64_t row, int64_t n, int64_t block) {
    first = w.data + static_cast<uint64_t>(row) * w.row_bytes +
            static_cast<uint64_t>(block * F::kBytes);
    stride = w.row_bytes;
    if (n >= 8) return;
    __builtin_memset(edge, 0, sizeof edge);
    for (int64_t r = 0; r < n; ++r) __builtin_memcpy(edge[r], of(r), F::kBytes);
    first = edge[0], stride = F::kBytes;
  }
  EightBlocks(const EightBlocks&) = delete;  // it may point into itself
  const uint8_t* of(int64_t i) const { return first + static_cast<uint64_t>(i) * stride; }

  const uint8_t* first;
  uint64_t stride;
  uint8_t edge[8][F::kBytes];
};

// Of eight blocks: to a lane each, from `r` on, of scales[i] and offsets[i] for their groups i.
template <class V, class T, class F>
void pack_scales(const EightBlocks<F>& blocks, float (*to_scales)[T::kTileRows],
                 float (*to_offsets)[T::kTileRows], int64_t r) {
  using Floats = typename V::Floats;
  constexpr auto bias = static_cast<float>(TileFormat<T, F>::kBias);
  if constexpr (F::kSuper) {
    Floats scales[2][8], offsets[2][8];
    for (int i = 0; i < 8; ++i) {
      Floats s[2], m[2];
      F::scales(blocks.of(i), s, m);
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
        V::store(to_scales[8 * k + i] + r, scales[k][i]);
        if constexpr (TileFormat<T, F>::kOffset) V::store(to_offsets[8 * k + i] + r, offsets[k][i]);
      }
    }
  } else {
    for (int row = 0; row < 8; ++row) {
      const uint8_t* b = blocks.of(row);
      [&]<int... i>(std::integer_sequence<int, i...>) {
        const auto group = [&]<int k>() {
          Floats s, m;
          if constexpr (F::kMin)
            F::scale_and_offset(b, s, m);
          else if constexpr (F::kScales == 2)
            s = V::all(F::template scale_of<k>(b)), m = V::multiply(s, V::all(-bias));
          else
            s = F::scale(b), m = V::multiply(s, V::all(-bias));
          to_scales[k][r + row] = V::first(s);
          if constexpr (TileFormat<T, F>::kOffset) to_offsets[k][r + row] = V::first(m);
        };
        (group.template operator()<i>(), ...);
      }(std::make_integer_sequence<int, F::kGroups * F::kScales>());
    }
  }
}

// The codes of the groups of eight blocks, `lanes` being the eight rows' own of a tile's:
// become(i, four columns of each row) goes to lanes[i].
template <class V, class T, class F, class Become>
void pack_codes(const EightBlocks<F>& blocks, uint8_t (*lanes)[T::kTileRows][4],
                const Become& become) {
  static_assert(V::kUnsignedOnly == T::kUnsignedOnly);
  const auto group = [&]<int g>() {
    typename V::Floats rows[8];
#pragma GCC unroll 16
    for (int r = 0; r < 8; ++r)
      rows[r] = V::as_floats(Unsigned<V, F>::template codes<g>(blocks.of(r)));
    V::transpose(rows);
#pragma GCC unroll 16
    for (int i = 0; i < 8; ++i)
      V::store(reinterpret_cast<float*>(lanes[8 * g + i]), become(8 * g + i, rows[i]));
  };
  [&]<int... g>(std::integer_sequence<int, g...>) {
    (group.template operator()<g>(), ...);
  }(std::make_integer_sequence<int, F::kGroups>());
}

// Rows of zeros up to a whole number of vectors.
static inline int64_t packed_rows(int64_t n_rows) { return (n_rows + 15) / 16 * 16; }

// The lanes of a tile's codes from `row` on.
template <class T>
auto lanes_of(uint8_t (&codes)[T::kTileRows][4], int64_t row) {
  return reinterpret_cast<uint8_t(*)[T::kTileRows][4]>(codes[row]);
}

// Columns [from, from + n) of n_rows rows.
template <class V, class T, class F>
void pack(const MatrixView& w, int64_t row, int64_t n_rows, int64_t from, int64_t n,
          Tile<T>& tile) {
  constexpr int kBlockScales = F::kGroups * F::kScales;
  for (int64_t r = 0; r < packed_rows(n_rows); r += 8)
    for (int64_t b = 0; b < n / F::kValues; ++b) {
      const EightBlocks<F> blocks(w, row + r, n_rows - r, from / F::kValues + b);
      pack_codes<V, T>(blocks, lanes_of<T>(tile.codes[b * F::kValues / 4], r),
                       [](int, auto codes) { return codes; });
      pack_scales<V, T>(blocks, tile.scales + b * kBlockScales, tile.offsets + b * kBlockScales, r);
    }
}

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
template <class T, class F, int kTokens, int kVectors>
void tile_dot(const Tile<T>& tile, int64_t from, int64_t n, const PreparedRow* x, bool first,
              int64_t n_rows, float* y, int64_t y_stride) {
  using P = TileFormat<T, F>;
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
        const Floats scale = T::load(tile.scales[g] + v * T::kLanes);
        sum[v][t] = T::fma(T::to_floats(total[v][t]), T::multiply(scale, x_scale), sum[v][t]);
        if constexpr (P::kOffset)
          sum[v][t] = T::fma(T::load(tile.offsets[g] + v * T::kLanes), x_sum, sum[v][t]);
      }
    }
  }
  add_sums<T>(sum, first, n_rows, y, y_stride);
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
