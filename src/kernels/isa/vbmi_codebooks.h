// Rows of the IQ2 and IQ3 formats: all points of a super-block are looked up at once, byte by byte
// of how they are packed, in tables that lie in registers (vpermi2b); then their coordinates are
// picked out of the bytes (vpmultishiftqb), and become levels (vpshufb).
#pragma once

#include "kernels/codebook_tables.h"
#include "kernels/generic/row_dot.h"
#include "kernels/generic/super_blocks.h"
#include "kernels/isa/avx512_vectors.h"
#include "kernels/kernels.h"

namespace enxuto {
namespace {

// A super-block of 256 weights.
struct PackedBlock {
  __m512i low, high;  // byte i: of point i, as it is packed
  uint64_t signs[4];  // bit i of word v: value 64 v + i is negative
  __m512 scales;      // in the order of the dot products' lanes
};

struct alignas(64) ByteOrder {
  uint8_t of[64];
};

// Of `packed` (a byte of 128, 256, … points) those at `index`, whose bits from the eighth on are in
// `upper`.
template <size_t kPoints>
inline __m512i look_up(const uint8_t* packed, __m512i index, const __mmask64* upper) {
  if constexpr (kPoints == 128) {
    return _mm512_permutex2var_epi8(_mm512_load_si512(packed), index,
                                    _mm512_load_si512(packed + 64));
  } else {
    constexpr size_t kHalf = kPoints / 2;
    return _mm512_mask_blend_epi8(upper[__builtin_ctz(kHalf) - 7],
                                  look_up<kHalf>(packed, index, upper),
                                  look_up<kHalf>(packed + kHalf, index, upper));
  }
}

template <size_t kPoints>
inline void look_up_both(const PackedPoints<kPoints>& points, __m512i index, const __mmask64* upper,
                         PackedBlock& block) {
  block.low = look_up<kPoints>(points.low, index, upper);
  block.high = look_up<kPoints>(points.high, index, upper);
}

// How the coordinates of points lie: kBits each, in a word of as many bytes as there are of them.
template <int kBits>
struct Coordinates {
  static constexpr int kOfPoint = kBits == 2 ? 8 : 4, kPoints = 64 / kOfPoint;

  // Both bytes of the points of vector v, at the beginning of their words.
  static constexpr ByteOrder order(int v) {
    ByteOrder order = {};
    for (int i = 0; i < kPoints; ++i) {
      order.of[i * kOfPoint] = static_cast<uint8_t>(v * kPoints + i);
      order.of[i * kOfPoint + 1] = static_cast<uint8_t>(64 + v * kPoints + i);
    }
    return order;
  }
  static constexpr ByteOrder offsets() {
    ByteOrder offsets = {};
    for (int i = 0; i < 64; ++i)
      offsets.of[i] = static_cast<uint8_t>(i % 8 / kOfPoint * 32 + i % kOfPoint * kBits);
    return offsets;
  }
  static constexpr ByteOrder kOrder[4] = {order(0), order(1), order(2), order(3)};
  static constexpr ByteOrder kOffsets = offsets();
};

template <class F, int kBytes>
float dot_looked_up(const uint8_t* w, int64_t columns, const PreparedRow& x) {
  using V = Avx512Vnni;
  using C = Coordinates<F::kBits>;
  const __m512i levels =
      _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(F::levels())));
  const __m512i offsets = _mm512_load_si512(C::kOffsets.of);
  const __m512i mask = _mm512_set1_epi8((1 << F::kBits) - 1);
  __m512 sum = _mm512_setzero_ps();
  const int8_t* codes = x.codes;
  const float* x_scales = x.scales;
  const uint8_t* end = w + columns / 256 * kBytes;
  for (; w != end; w += kBytes, codes += 256, x_scales += 8) {
    _mm_prefetch(reinterpret_cast<const char*>(w) + generic::kAhead, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(w) + generic::kAhead + 64, _MM_HINT_T0);
    const PackedBlock block = F::block(w);
    __m512i dots[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m512i words =
          _mm512_permutex2var_epi8(block.low, _mm512_load_si512(C::kOrder[v].of), block.high);
      const __m512i index = _mm512_and_si512(_mm512_multishift_epi64_epi8(offsets, words), mask);
      const __m512i xs = _mm512_loadu_si512(codes + 64 * v);
      dots[v] =
          _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_shuffle_epi8(levels, index),
                              _mm512_mask_sub_epi8(xs, block.signs[v], _mm512_setzero_si512(), xs));
    }
    const __m512 scale = _mm512_mul_ps(block.scales, V::by_group(_mm256_loadu_ps(x_scales)));
    sum = _mm512_fmadd_ps(V::sums_of_four(dots[0], dots[1], dots[2], dots[3]), scale, sum);
  }
  return _mm512_reduce_add_ps(sum);
}

inline uint64_t load_long(const uint8_t* b) {
  uint64_t word;
  __builtin_memcpy(&word, b, 8);
  return word;
}
inline __m256i load_32(const uint8_t* b) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
}

// unit * d * (2 n + 1) of eight n; of sixteen nibbles.
inline __m512 odd_multiples(const uint8_t* d, float unit, __m512 n) {
  uint16_t half;
  __builtin_memcpy(&half, d, 2);
  const __m512 u = _mm512_set1_ps(unit * _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half))));
  return _mm512_fmadd_ps(n, _mm512_add_ps(u, u), u);
}
inline __m512 eight_scales(const uint8_t* d, float unit, __m256i n) {
  return odd_multiples(d, unit, Avx512Vnni::by_group(_mm256_cvtepi32_ps(n)));
}
inline __m512 sixteen_scales(const uint8_t* d, float unit, const uint8_t* nibbles) {
  const __m128i both = _mm_cvtsi64_si128(static_cast<int64_t>(load_long(nibbles)));
  const __m128i bytes =
      _mm_and_si128(_mm_unpacklo_epi8(both, _mm_srli_epi16(both, 4)), _mm_set1_epi8(15));
  // A group's first scale is that of its former lanes.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i n = _mm512_permutexvar_epi32(order, _mm512_cvtepu8_epi32(bytes));
  return odd_multiples(d, unit, _mm512_cvtepi32_ps(n));
}

// Seven signs each, and an eighth that makes the minuses even.
inline void store_even_signs(__m256i sevens, uint64_t* signs) {
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i odd = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0));
  const __m256i s = _mm256_and_si256(sevens, _mm256_set1_epi8(127));
  const __m256i folded = _mm256_and_si256(_mm256_xor_si256(s, _mm256_srli_epi16(s, 4)), low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(signs),
                      _mm256_or_si256(s, _mm256_shuffle_epi8(odd, folded)));
}

template <Type>
struct LookedUp;

template <>
struct LookedUp<Type::IQ3_XXS> {
  static constexpr int kBits = 3;
  static const uint8_t* levels() { return kCodebookTables.levels_iq3_xxs; }
  static PackedBlock block(const uint8_t* b) {
    PackedBlock block;
    const __m512i index = _mm512_loadu_si512(b + 2);
    const __mmask64 upper[] = {_mm512_movepi8_mask(index)};
    look_up_both(kCodebookTables.packed_iq3_xxs, index, upper, block);
    const __m256i words = load_32(b + 66);  // four times seven signs, and a scale
    const __m512i twice =
        _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7),
                                 _mm512_castsi256_si512(words));
    const __m512i offsets = _mm512_set1_epi64(0x150e0700);
    store_even_signs(_mm512_cvtepi64_epi32(_mm512_multishift_epi64_epi8(offsets, twice)),
                     block.signs);
    block.scales = eight_scales(b, 0.25f, _mm256_srli_epi32(words, 28));
    return block;
  }
};

template <>
struct LookedUp<Type::IQ3_S> {
  static constexpr int kBits = 3;
  static const uint8_t* levels() { return kCodebookTables.levels_iq3_s; }
  static PackedBlock block(const uint8_t* b) {
    PackedBlock block;
    const __m512i index = _mm512_loadu_si512(b + 2);
    const __mmask64 upper[] = {_mm512_movepi8_mask(index), load_long(b + 66)};
    look_up_both(kCodebookTables.packed_iq3_s, index, upper, block);
    __builtin_memcpy(block.signs, b + 74, 32);
    const uint64_t n = generic::spread_nibbles(generic::load_word(b + 106));
    block.scales = eight_scales(b, 1, Avx512Vnni::u8_of(n));
    return block;
  }
};

template <>
struct LookedUp<Type::IQ2_XXS> {
  static constexpr int kBits = 2;
  static const uint8_t* levels() { return kCodebookTables.levels_iq2; }
  static PackedBlock block(const uint8_t* b) {
    PackedBlock block;
    // Four points in the lower half of each word, four times seven signs and a scale above.
    const __m512i words = _mm512_loadu_si512(b + 2);
    const __m512i index = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(words));
    const __mmask64 upper[] = {_mm512_movepi8_mask(index)};
    look_up_both(kCodebookTables.packed_iq2_xxs, index, upper, block);
    const __m512i offsets = _mm512_set1_epi64(0x352e2720);
    store_even_signs(_mm512_cvtepi64_epi32(_mm512_multishift_epi64_epi8(offsets, words)),
                     block.signs);
    block.scales = eight_scales(b, 0.125f, _mm512_cvtepi64_epi32(_mm512_srli_epi64(words, 60)));
    return block;
  }
};

template <>
struct LookedUp<Type::IQ2_XS> {
  static constexpr int kBits = 2;
  static const uint8_t* levels() { return kCodebookTables.levels_iq2; }
  static PackedBlock block(const uint8_t* b) {
    PackedBlock block;
    const __m512i words = _mm512_loadu_si512(b + 2);  // nine bits of a point, seven of signs
    const __m512i index = _mm512_castsi256_si512(_mm512_cvtepi16_epi8(words));
    const __mmask64 upper[] = {_mm512_movepi8_mask(index),
                               _mm512_test_epi16_mask(words, _mm512_set1_epi16(256))};
    look_up_both(kCodebookTables.packed_iq2_xs, index, upper, block);
    store_even_signs(_mm512_cvtepi16_epi8(_mm512_srli_epi16(words, 9)), block.signs);
    block.scales = sixteen_scales(b, 0.125f, b + 66);
    return block;
  }
};

template <>
struct LookedUp<Type::IQ2_S> {
  static constexpr int kBits = 2;
  static const uint8_t* levels() { return kCodebookTables.levels_iq2; }
  static PackedBlock block(const uint8_t* b) {
    PackedBlock block;
    const __m512i index = _mm512_castsi256_si512(load_32(b + 2));
    const uint64_t high = load_long(b + 66);
    const __mmask64 upper[] = {_mm512_movepi8_mask(index), _pext_u64(high, 0x5555555555555555),
                               _pext_u64(high, 0xaaaaaaaaaaaaaaaa)};
    look_up_both(kCodebookTables.packed_iq2_s, index, upper, block);
    __builtin_memcpy(block.signs, b + 34, 32);
    block.scales = sixteen_scales(b, 0.125f, b + 74);
    return block;
  }
};

}  // namespace
}  // namespace enxuto
