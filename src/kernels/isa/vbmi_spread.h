// Activations in another order, for which a super-block's dot products need no adding up across
// lanes: of the 256 columns of a block, vector k holds values 8 k … 8 k + 7 of all eight groups. A
// lane of a vector then belongs to one group, and the four vectors add up in it.
#pragma once

#include "kernels/isa/avx512_vectors.h"
#include "kernels/kernels.h"

namespace enxuto {
namespace {

struct alignas(64) ByteOrder {
  uint8_t of[64];
};

// A prepared row, spread. Lanes 2 g and 2 g + 1 of sixteen are group g's.
struct SpreadRow {
  const int8_t* codes;  // (columns)
  const float* scales;  // (columns / 16), each twice
  const float* sums;    // (columns / 16)
};

// Floats that a spread row takes: codes and scales.
inline int64_t spread_floats(int64_t columns) { return columns / 4 + columns / 16; }

inline void spread_block(const int8_t* from, int8_t* to) {
  __m512i groups[4], halves[2][2];
  for (int i = 0; i < 4; ++i) groups[i] = _mm512_loadu_si512(from + 64 * i);
  for (int i = 0; i < 2; ++i)
    for (int k = 0; k < 2; ++k) {  // vectors 2 k and 2 k + 1 of four groups
      const __m512i order =
          _mm512_add_epi64(_mm512_setr_epi64(0, 4, 8, 12, 1, 5, 9, 13), _mm512_set1_epi64(2 * k));
      halves[k][i] = _mm512_permutex2var_epi64(groups[2 * i], order, groups[2 * i + 1]);
    }
  for (int k = 0; k < 2; ++k) {
    _mm512_storeu_si512(to + 128 * k, _mm512_shuffle_i64x2(halves[k][0], halves[k][1], 0x44));
    _mm512_storeu_si512(to + 128 * k + 64, _mm512_shuffle_i64x2(halves[k][0], halves[k][1], 0xee));
  }
}

inline __m512 twice_each(__m256 a) {
  const __m512i order = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return _mm512_permutexvar_ps(order, _mm512_castps256_ps512(a));
}

inline SpreadRow spread_row(const PreparedRow& x, int64_t columns, float* memory) {
  auto* codes = reinterpret_cast<int8_t*>(memory);
  float* scales = memory + columns / 4;
  for (int64_t c = 0; c < columns; c += 256) {
    spread_block(x.codes + c, codes + c);
    _mm512_storeu_ps(scales + c / 16, twice_each(_mm256_loadu_ps(x.scales + c / 32)));
  }
  return {codes, scales, x.sums};
}

// A super-block's scales, of the first and of the second half of each group (kScales == 2), and
// what goes off for the activations' sums (kOffset).
struct BlockScales {
  __m512 of[2], offsets;
};

// The sums of a row.
struct SpreadSums {
  __m512 sum = _mm512_setzero_ps(), offset = _mm512_setzero_ps();

  // add_vector<k>(dot, x): dot and the products of vector k with its activations.
  template <class F, class AddVector>
  [[gnu::always_inline]] void add(const BlockScales& s, const SpreadRow& x,
                                  const AddVector& add_vector) {
    __m512i dots[F::kScales];
#pragma GCC unroll 2
    for (int i = 0; i < F::kScales; ++i) dots[i] = _mm512_setzero_si512();
    const auto vector = [&]<int k>() __attribute__((always_inline)) {
      __m512i& dot = dots[k * F::kScales / 4];
      dot = add_vector.template operator()<k>(dot, _mm512_loadu_si512(x.codes + 64 * k));
    };
    vector.template operator()<0>();
    vector.template operator()<1>();
    vector.template operator()<2>();
    vector.template operator()<3>();
    const __m512 x_scales = _mm512_loadu_ps(x.scales);
#pragma GCC unroll 2
    for (int i = 0; i < F::kScales; ++i)
      sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[i]), _mm512_mul_ps(s.of[i], x_scales), sum);
    if constexpr (F::kOffset) offset = _mm512_fmadd_ps(s.offsets, _mm512_loadu_ps(x.sums), offset);
  }
  float total() const { return _mm512_reduce_add_ps(_mm512_sub_ps(sum, offset)); }
};

// By halves: rows that come from memory are read a tenth faster so than by loads across two lines.
inline __m512i load_64(const uint8_t* b) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(Avx512Vnni::load_bytes(b)),
                            Avx512Vnni::load_bytes(b + 32), 1);
}
inline __m128i load_16(const uint8_t* b) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
}
inline __m512 floats_of(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)); }

inline void step(SpreadRow& x) { x.codes += 256, x.scales += 16, x.sums += 16; }

// Of sixteen, two for each group: the first of each, the second of each.
inline void firsts_and_seconds(__m512 all, BlockScales& s) {
  s.of[0] = _mm512_moveldup_ps(all);
  s.of[1] = _mm512_movehdup_ps(all);
}

// Rows [begin, end) for few tokens: each is dot(row, columns, token), the tokens made by
// make(prepared row, columns, memory) of `floats` floats of scratch each. False where the scratch
// does not hold one.
template <class Make, class Dot>
bool few_made_tokens(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                     int64_t n_tokens, float* y, int64_t y_stride, float* scratch, int64_t floats,
                     const Make& make, const Dot& dot) {
  constexpr int64_t kMost = Avx512Tile::kTileTokens;
  if (floats > kKernelScratchFloats) return false;
  for (int64_t from = 0; from < n_tokens;) {
    decltype(make(*x, w.columns, scratch)) tokens[kMost];
    int64_t n = 0;
    for (; n < kMost && from + n < n_tokens && (n + 1) * floats <= kKernelScratchFloats; ++n)
      tokens[n] = make(x[from + n], w.columns, scratch + n * floats);
    for (int64_t r = begin; r < end; ++r) {
      const uint8_t* row = w.data + static_cast<uint64_t>(r) * w.row_bytes;
      for (int64_t t = 0; t < n; ++t)
        y[(from + t) * y_stride + r - begin] = dot(row, w.columns, tokens[t]);
    }
    from += n;
  }
  return true;
}

}  // namespace
}  // namespace enxuto
