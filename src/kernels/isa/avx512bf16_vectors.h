// What AVX-512 BF16 adds to AVX-512 with VNNI: tiles of pairs of bf16 numbers. Included only by
// units compiled for it.
#pragma once

#include "kernels/generic/float_rows.h"
#include "kernels/generic/pair_tile.h"
#include "kernels/isa/avx512_vectors.h"

namespace enxuto {
namespace {

struct Avx512PairTile : Avx512Tile {
  static constexpr int64_t kPairTokens = kFloatTokens, kPairColumns = 256;

  // scale * code + offset of four columns of sixteen rows: of the first two, then of the others.
  static void store_pairs(const void* codes, Floats scale, Floats offset, void* first,
                          void* second) {
    const __m512i four = _mm512_loadu_si512(codes);
    const auto values = [&]<int i>() {
      const __m512i code = _mm512_and_si512(_mm512_srli_epi32(four, 8 * i), _mm512_set1_epi32(255));
      return fma(to_floats(code), scale, offset);
    };
    const auto pairs = [](Floats low, Floats high) {  // sixteen of each, then row by row
      constexpr auto order = [] {
        struct {
          alignas(64) uint16_t of[32];
        } found = {};
        for (int i = 0; i < 32; ++i) found.of[i] = static_cast<uint16_t>(i / 2 + 16 * (i % 2));
        return found;
      }();
      return _mm512_permutexvar_epi16(_mm512_load_si512(order.of),
                                      (__m512i)_mm512_cvtne2ps_pbh(high, low));
    };
    _mm512_storeu_si512(first,
                        pairs(values.template operator()<0>(), values.template operator()<1>()));
    _mm512_storeu_si512(second,
                        pairs(values.template operator()<2>(), values.template operator()<3>()));
  }

  template <int kTokens, class Tile>
  static void pair_dot(const Tile& tile, int64_t n, const uint16_t* x, int64_t x_stride, bool first,
                       int64_t n_rows, float* y, int64_t y_stride) {
    Floats sum[2][kTokens];
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) sum[0][t] = sum[1][t] = zero();
    for (int64_t p = 0; p < n / 2; ++p) {
      const Bytes w[2] = {load_bytes(tile.pairs[p]), load_bytes(tile.pairs[p][kLanes])};
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        const Bytes pair = broadcast_four(x + t * x_stride + 2 * p);
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v)
          sum[v][t] = _mm512_dpbf16_ps(sum[v][t], (__m512bh)w[v], (__m512bh)pair);
      }
    }
    generic::add_sums<Avx512PairTile>(sum, first, n_rows, y, y_stride);
  }

  template <class Tile>
  static void multiply_pairs(const Tile& tile, int64_t from, int64_t n, const uint16_t* x,
                             int64_t x_stride, int64_t n_tokens, int64_t n_rows, float* y,
                             int64_t y_stride) {
    generic::in_handfuls<Avx512PairTile>(n_tokens, [&]<int kFew>(int64_t t) {
      pair_dot<kFew>(tile, n, x + t * x_stride + from, x_stride, from == 0, n_rows,
                     y + t * y_stride, y_stride);
    });
  }
};

}  // namespace
}  // namespace enxuto
