// Many tokens, where a weight may be off by a few thousandths (TileWeights::kRescaled): rows of
// super-blocks become a tile of bytes (tile.h) with one scale a row. A group's products then cost
// one addition of floats, and all formats have the same dot product.
//   value ~ scale[row] * (code - 128)
#pragma once

#include "kernels/generic/tile_pack.h"

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

// The way to fill such tiles (tile.h), whatever the format.
template <class V, class T, class F>
struct RescaledTiles {
  using Tile = RescaledTile<T>;
  struct Format {
    static constexpr int kBias = 128, kGroup = 32, kSteps = 8;
    static constexpr bool kSigned = false, kRowScale = true, kStarts = true, kOffset = false;
  };

  static void pack(const MatrixView& w, int64_t row, int64_t n_rows, int64_t from, int64_t n,
                   Tile& tile) {
    constexpr int kBlockScales = 8 * F::kScales;
    const auto each_block = [&](int64_t r, const auto& body) {
      for (int64_t b = 0; b < n / 256; ++b)
        body(b, EightBlocks<F>(w, row + r, n_rows - r, from / 256 + b),
             tile.scales + b * kBlockScales, tile.offsets + b * kBlockScales);
    };
    for (int64_t r = 0; r < packed_rows(n_rows); r += 8) {
      each_block(r, [&](int64_t, const auto& blocks, auto* scales, auto* offsets) {
        pack_scales<V, T, F::kMin>(blocks, scales, offsets, r);
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
};

}  // namespace enxuto::generic
