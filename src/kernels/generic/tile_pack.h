// Rows of a format -> a tile of bytes that all formats share (tile.h). Tile vectors T hold one row
// per lane (8 or 16 lanes); two of them share what is loaded of the tokens:
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
  static constexpr bool kRowScale = false;
  // The sums begin with what the bias takes off, where T has that and they are of 32 columns.
  static constexpr bool kStarts =
      kBias != 0 && kGroup == 32 && T::kWideSums &&
      requires(const int32_t* shift) { T::template start<kBias>(shift); };
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

// Of eight blocks: to a lane each, from `r` on, of scales[i] and (kOffset) offsets[i] for their
// groups i.
template <class V, class T, bool kOffset, class F>
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
        if constexpr (kOffset)
          offsets[k][i] = F::kMin ? V::subtract(V::zero(), m[k]) : V::multiply(s[k], V::all(-bias));
      }
    }
#pragma GCC unroll 2
    for (int k = 0; k < F::kScales; ++k) {
      V::transpose(scales[k]);
      if constexpr (kOffset) V::transpose(offsets[k]);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        V::store(to_scales[8 * k + i] + r, scales[k][i]);
        if constexpr (kOffset) V::store(to_offsets[8 * k + i] + r, offsets[k][i]);
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
          if constexpr (kOffset) to_offsets[k][r + row] = V::first(m);
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

// Weights as they are stored: what a way to fill a tile consists of.
template <class V, class T, class F>
struct ExactTiles {
  using Tile = generic::Tile<T>;
  using Format = TileFormat<T, F>;

  // Columns [from, from + n) of n_rows rows.
  static void pack(const MatrixView& w, int64_t row, int64_t n_rows, int64_t from, int64_t n,
                   Tile& tile) {
    constexpr int kBlockScales = F::kGroups * F::kScales;
    for (int64_t r = 0; r < packed_rows(n_rows); r += 8)
      for (int64_t b = 0; b < n / F::kValues; ++b) {
        const EightBlocks<F> blocks(w, row + r, n_rows - r, from / F::kValues + b);
        pack_codes<V, T>(blocks, lanes_of<T>(tile.codes[b * F::kValues / 4], r),
                         [](int, auto codes) { return codes; });
        pack_scales<V, T, Format::kOffset>(blocks, tile.scales + b * kBlockScales,
                                           tile.offsets + b * kBlockScales, r);
      }
  }
};

}  // namespace enxuto::generic
