// Many tokens in bf16 (KernelTable::matmul_rows_bf16): rows of any format become a tile of bf16
// numbers, two neighbouring columns of a row in a lane, which the tokens stream past. T says how
// they are multiplied:
//   kPairTokens    tokens that are worth it
//   kPairColumns   columns of a tile
//   multiply_pairs(tile, from, n, x, x_stride, n_tokens, n_rows, y, y_stride)
#pragma once

#include "kernels/generic/tile.h"
#include "kernels/generic/with_format.h"

namespace enxuto::generic {

template <class T>
struct PairTile {
  static constexpr int64_t kColumns = T::kPairColumns;
  uint16_t pairs[kColumns / 2][T::kTileRows][2];
};

// Rows that are in bf16: a lane is what lies side by side.
template <class V, class T>
void pack_bf16_pairs(const MatrixView& w, int64_t row, int64_t n_rows, int64_t from, int64_t n,
                     PairTile<T>& tile) {
  for (int64_t r = 0; r < T::kTileRows; r += 8)
    for (int64_t c = 0; c < n; c += 16) {
      typename V::Floats pairs[8];
      for (int64_t i = 0; i < 8; ++i)
        pairs[i] = r + i < n_rows ? V::load(reinterpret_cast<const float*>(
                                        w.data + static_cast<uint64_t>(row + r + i) * w.row_bytes +
                                        static_cast<uint64_t>(from + c) * sizeof(uint16_t)))
                                  : V::zero();
      V::transpose(pairs);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i)
        V::store(reinterpret_cast<float*>(tile.pairs[c / 2 + i][r]), pairs[i]);
    }
}

// Blocks, by way of their codes and scales (tile_pack.h).
template <class V, class T, class F>
void pack_block_pairs(const MatrixView& w, int64_t row, int64_t n_rows, int64_t from, int64_t n,
                      Tile<T>& codes, PairTile<T>& tile) {
  using Floats = typename T::Floats;
  using Format = TileFormat<T, F>;
  ExactTiles<V, T, F>::pack(w, row, n_rows, from, n, codes);
  for (int64_t c = 0; c < n; c += Format::kGroup)
    for (int64_t r = 0; r < packed_rows(n_rows); r += T::kLanes) {
      const Floats scale = T::load(codes.scales[c / Format::kGroup] + r);
      Floats offset = T::zero();
      if constexpr (Format::kOffset)
        offset = T::load(codes.offsets[c / Format::kGroup] + r);
      else if constexpr (Format::kBias != 0)
        offset = T::multiply(scale, T::all(-static_cast<float>(Format::kBias)));
#pragma GCC unroll 8
      for (int64_t i = 0; i < Format::kGroup; i += 4)
        T::store_pairs(codes.codes[(c + i) / 4][r], scale, offset, tile.pairs[(c + i) / 2][r],
                       tile.pairs[(c + i) / 2 + 1][r]);
    }
}

template <class V, class T>
void matmul_rows_bf16(const MatrixView& w, int64_t begin, int64_t end, const uint16_t* x,
                      int64_t x_stride, int64_t n_tokens, float* y, int64_t y_stride,
                      float* scratch) {
  static_assert(sizeof(PairTile<T>) + sizeof(Tile<T>) <= kKernelScratchFloats * sizeof(float));
  static_assert(PairTile<T>::kColumns <= Tile<T>::kColumns && PairTile<T>::kColumns % 256 == 0);
  static_assert(T::kUnsignedOnly);  // store_pairs' codes
  auto& tile = *reinterpret_cast<PairTile<T>*>(scratch);
  auto& codes = *reinterpret_cast<Tile<T>*>(reinterpret_cast<uint8_t*>(scratch) + sizeof tile);
  constexpr int64_t kRows = T::kTileRows, kColumns = PairTile<T>::kColumns;
  for (int64_t r = begin; r < end; r += kRows) {
    const int64_t n_rows = end - r < kRows ? end - r : kRows;
    for (int64_t c = 0; c < w.columns; c += kColumns) {
      const int64_t n = w.columns - c < kColumns ? w.columns - c : kColumns;
      if (w.type == Type::BF16)
        pack_bf16_pairs<V, T>(w, r, n_rows, c, n, tile);
      else
        with_format<V>(
            w.type, [&]<class F>() { pack_block_pairs<V, T, F>(w, r, n_rows, c, n, codes, tile); });
      T::multiply_pairs(tile, c, n, x, x_stride, n_tokens, n_rows, y + r - begin, y_stride);
    }
  }
}

}  // namespace enxuto::generic
