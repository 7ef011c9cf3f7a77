// Rows of the IQ2 and IQ3 formats against spread activations: 64 points, which are two super-blocks
// of IQ2 and one of IQ3, are looked up at once, byte by byte of how they are packed, in tables that
// lie in registers (vpermi2b); both bytes of the points become words, of which eight bytes belong
// to a group; coordinates are picked out of them (vpmultishiftqb), and become levels (vpshufb).
#pragma once

#include "kernels/codebook_tables.h"
#include "kernels/generic/row_dot.h"
#include "kernels/generic/super_blocks.h"
#include "kernels/isa/vbmi_spread.h"

namespace enxuto {
namespace {

// 64 points as words, in the order of Coordinates.
struct PackedSet {
  __m512i words[2];
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
inline PackedSet look_up_both(const PackedPoints<kPoints>& points, __m512i index,
                              const __mmask64* upper) {
  const __m512i low = look_up<kPoints>(points.low, index, upper);
  const __m512i high = look_up<kPoints>(points.high, index, upper);
  return {{_mm512_unpacklo_epi8(low, high), _mm512_unpackhi_epi8(low, high)}};
}

// How points become vectors: kBits a coordinate. Eight bytes of the words are of group g:
//   IQ2: its four points of eight values; words[b] are super-block b's
//   IQ3: four of its eight points of four values; words[h] are the halves h of the groups
// So the index of a look-up is in another order than in the file (interleaved, by_halves).
template <int kBits>
struct Coordinates {
  static constexpr int kBlocks = kBits == 2 ? 2 : 1;
  static constexpr int words_of(int block, int k) { return kBits == 2 ? block : k / 2; }
  // Where the coordinates of vector k begin in their eight bytes.
  static constexpr ByteOrder offsets(int k) {
    ByteOrder offsets = {};
    for (int i = 0; i < 64; ++i) {
      const int pair = 32 * (k % 2) + 16 * (i % 8 / 4) + 3 * (i % 4);
      offsets.of[i] = static_cast<uint8_t>(kBits == 2 ? 16 * k + 2 * (i % 8) : pair);
    }
    return offsets;
  }
  static constexpr ByteOrder kOffsets[4] = {offsets(0), offsets(1), offsets(2), offsets(3)};
};

// Indices of two super-blocks of IQ2, eight in turn; and a bit of each.
inline __m512i interleaved(__m256i a, __m256i b) {
  return _mm512_permutex2var_epi64(_mm512_castsi256_si512(a),
                                   _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11),
                                   _mm512_castsi256_si512(b));
}
inline __mmask64 interleaved(uint64_t a, uint64_t b) {
  return _pdep_u64(a, 0x00ff00ff00ff00ff) | _pdep_u64(b, 0xff00ff00ff00ff00);
}
// Indices of IQ3: of two groups their first halves, then their second ones; and a bit of each.
inline __m512i by_halves(__m512i index) {
  const __m128i order = _mm_setr_epi8(0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15);
  return _mm512_shuffle_epi8(index, _mm512_broadcast_i32x4(order));
}
inline __mmask64 by_halves(uint64_t bits) {
  return (bits & 0xf00ff00ff00ff00f) | (bits & 0x00f000f000f000f0) << 4 |
         (bits & 0x0f000f000f000f00) >> 4;
}

// 32 bytes of signs: of eight values each, four to a group -> four masks, as vectors are spread.
struct SpreadSigns {
  uint64_t of[4];
  explicit SpreadSigns(__m256i signs) {
    const __m256i order =
        _mm256_setr_epi8(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29, 2, 6, 10, 14, 18,
                         22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(of), _mm256_permutexvar_epi8(order, signs));
  }
};

template <class F, int kBytes>
float dot_looked_up(const uint8_t* w, int64_t columns, SpreadRow x) {
  using C = Coordinates<F::kBits>;
  const __m512i levels =
      _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(F::levels())));
  const __m512i mask = _mm512_set1_epi8((1 << F::kBits) - 1);
  SpreadSums sums;
  const auto add = [&]<int block>(const uint8_t* b, const PackedSet& points)
      __attribute__((always_inline)) {
    const SpreadSigns signs(F::signs(b));
    sums.add<F>(
        F::scales(b), x, [&]<int k>(__m512i dot, __m512i xs) __attribute__((always_inline)) {
          const __m512i coordinates = _mm512_multishift_epi64_epi8(
              _mm512_load_si512(C::kOffsets[k].of), points.words[C::words_of(block, k)]);
          const __m512i index = _mm512_and_si512(coordinates, mask);
          return _mm512_dpbusd_epi32(
              dot, _mm512_shuffle_epi8(levels, index),
              _mm512_mask_sub_epi8(xs, signs.of[k], _mm512_setzero_si512(), xs));
        });
    step(x);
  };
  const uint8_t* end = w + columns / 256 * kBytes;
  while (w != end) {
    generic::ask_ahead<Avx512Vnni, C::kBlocks * kBytes>(w);
    if constexpr (C::kBlocks == 1) {
      add.template operator()<0>(w, F::points(w));
      w += kBytes;
    } else {
      const uint8_t* next = end - w > kBytes ? w + kBytes : w;
      const PackedSet points = F::points(w, next);
      add.template operator()<0>(w, points);
      if (next != w) add.template operator()<1>(next, points);
      w = next + kBytes;
    }
  }
  return sums.total();
}

inline uint64_t load_long(const uint8_t* b) {
  uint64_t word;
  __builtin_memcpy(&word, b, 8);
  return word;
}
// unit * d * (2 n + 1)
inline __m512 odd_multiples(const uint8_t* d, float unit, __m512 n) {
  const __m512 u = _mm512_set1_ps(unit * Avx512Vnni::first(Avx512Vnni::broadcast_f16(d)));
  return _mm512_fmadd_ps(n, _mm512_add_ps(u, u), u);
}
inline BlockScales eight_scales(const uint8_t* d, float unit, __m256i n) {
  BlockScales s;
  s.of[0] = odd_multiples(d, unit, twice_each(_mm256_cvtepi32_ps(n)));
  return s;
}
inline BlockScales sixteen_scales(const uint8_t* d, float unit, const uint8_t* nibbles) {
  const __m128i both = _mm_cvtsi64_si128(static_cast<int64_t>(load_long(nibbles)));
  const __m128i bytes =
      _mm_and_si128(_mm_unpacklo_epi8(both, _mm_srli_epi16(both, 4)), _mm_set1_epi8(15));
  BlockScales s;
  firsts_and_seconds(odd_multiples(d, unit, floats_of(bytes)), s);
  return s;
}

// Seven signs each, and an eighth that makes the minuses even.
inline __m256i with_even_signs(__m256i sevens) {
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i odd = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0));
  const __m256i s = _mm256_and_si256(sevens, _mm256_set1_epi8(127));
  const __m256i folded = _mm256_and_si256(_mm256_xor_si256(s, _mm256_srli_epi16(s, 4)), low);
  return _mm256_or_si256(s, _mm256_shuffle_epi8(odd, folded));
}

template <int kBits_, int kScales_>
struct LookedUpFormat {
  static constexpr int kBits = kBits_, kScales = kScales_;
  static constexpr bool kOffset = false;
};

template <Type>
struct LookedUp;

template <>
struct LookedUp<Type::IQ3_XXS> : LookedUpFormat<3, 1> {
  static const uint8_t* levels() { return kCodebookTables.levels_iq3_xxs; }
  static PackedSet points(const uint8_t* b) {
    const __m512i index = by_halves(load_64(b + 2));
    const __mmask64 upper[] = {_mm512_movepi8_mask(index)};
    return look_up_both(kCodebookTables.packed_iq3_xxs, index, upper);
  }
  // Words of four times seven signs, and a scale.
  static __m256i signs(const uint8_t* b) {
    const __m512i twice =
        _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7),
                                 _mm512_castsi256_si512(Avx512Vnni::load_bytes(b + 66)));
    const __m512i offsets = _mm512_set1_epi64(0x150e0700);
    return with_even_signs(_mm512_cvtepi64_epi32(_mm512_multishift_epi64_epi8(offsets, twice)));
  }
  static BlockScales scales(const uint8_t* b) {
    return eight_scales(b, 0.25f, _mm256_srli_epi32(Avx512Vnni::load_bytes(b + 66), 28));
  }
};

template <>
struct LookedUp<Type::IQ3_S> : LookedUpFormat<3, 1> {
  static const uint8_t* levels() { return kCodebookTables.levels_iq3_s; }
  static PackedSet points(const uint8_t* b) {
    const __m512i index = by_halves(load_64(b + 2));
    const __mmask64 upper[] = {_mm512_movepi8_mask(index), by_halves(load_long(b + 66))};
    return look_up_both(kCodebookTables.packed_iq3_s, index, upper);
  }
  static __m256i signs(const uint8_t* b) { return Avx512Vnni::load_bytes(b + 74); }
  static BlockScales scales(const uint8_t* b) {
    const uint64_t n = generic::spread_nibbles(generic::load_word(b + 106));
    return eight_scales(b, 1, Avx512Vnni::u8_of(n));
  }
};

template <>
struct LookedUp<Type::IQ2_XXS> : LookedUpFormat<2, 1> {
  static const uint8_t* levels() { return kCodebookTables.levels_iq2; }
  // Four points in the lower half of each word, four times seven signs and a scale above.
  static __m512i words(const uint8_t* b) { return load_64(b + 2); }
  static PackedSet points(const uint8_t* a, const uint8_t* b) {
    const __m512i index =
        interleaved(_mm512_cvtepi64_epi32(words(a)), _mm512_cvtepi64_epi32(words(b)));
    const __mmask64 upper[] = {_mm512_movepi8_mask(index)};
    return look_up_both(kCodebookTables.packed_iq2_xxs, index, upper);
  }
  static __m256i signs(const uint8_t* b) {
    const __m512i offsets = _mm512_set1_epi64(0x352e2720);
    return with_even_signs(_mm512_cvtepi64_epi32(_mm512_multishift_epi64_epi8(offsets, words(b))));
  }
  static BlockScales scales(const uint8_t* b) {
    return eight_scales(b, 0.125f, _mm512_cvtepi64_epi32(_mm512_srli_epi64(words(b), 60)));
  }
};

template <>
struct LookedUp<Type::IQ2_XS> : LookedUpFormat<2, 2> {
  static const uint8_t* levels() { return kCodebookTables.levels_iq2; }
  // Nine bits of a point, seven of signs.
  static __m512i words(const uint8_t* b) { return load_64(b + 2); }
  static PackedSet points(const uint8_t* a, const uint8_t* b) {
    const __m512i index =
        interleaved(_mm512_cvtepi16_epi8(words(a)), _mm512_cvtepi16_epi8(words(b)));
    const __m512i ninth = _mm512_set1_epi16(256);
    const __mmask64 upper[] = {_mm512_movepi8_mask(index),
                               interleaved(_mm512_test_epi16_mask(words(a), ninth),
                                           _mm512_test_epi16_mask(words(b), ninth))};
    return look_up_both(kCodebookTables.packed_iq2_xs, index, upper);
  }
  static __m256i signs(const uint8_t* b) {
    return with_even_signs(_mm512_cvtepi16_epi8(_mm512_srli_epi16(words(b), 9)));
  }
  static BlockScales scales(const uint8_t* b) { return sixteen_scales(b, 0.125f, b + 66); }
};

template <>
struct LookedUp<Type::IQ2_S> : LookedUpFormat<2, 2> {
  static const uint8_t* levels() { return kCodebookTables.levels_iq2; }
  static PackedSet points(const uint8_t* a, const uint8_t* b) {
    const __m512i index = interleaved(Avx512Vnni::load_bytes(a + 2), Avx512Vnni::load_bytes(b + 2));
    const uint64_t first = load_long(a + 66), second = load_long(b + 66);  // two bits of a point
    const auto every_other = [&](uint64_t bits) {
      return interleaved(_pext_u64(first, bits), _pext_u64(second, bits));
    };
    const __mmask64 upper[] = {_mm512_movepi8_mask(index), every_other(0x5555555555555555),
                               every_other(0xaaaaaaaaaaaaaaaa)};
    return look_up_both(kCodebookTables.packed_iq2_s, index, upper);
  }
  static __m256i signs(const uint8_t* b) { return Avx512Vnni::load_bytes(b + 34); }
  static BlockScales scales(const uint8_t* b) { return sixteen_scales(b, 0.125f, b + 74); }
};

}  // namespace
}  // namespace enxuto
