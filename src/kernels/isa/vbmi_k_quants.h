// Rows of the K-quants and IQ4_XS against spread activations: eight bytes of each group come
// together in a vector (vpermt2q), and a field of bits is cut out of each by a multiplication with
// a matrix of bits (vgf2p8affineqb). The scales of a super-block lie in one register. Not Q6_K: its
// rows are faster in the usual order.
#pragma once

#include "kernels/generic/row_dot.h"
#include "kernels/generic/super_blocks.h"
#include "kernels/isa/vbmi_spread.h"

namespace enxuto {
namespace {

// Eight of something, one for each group.
struct alignas(64) OfGroups {
  uint64_t of[8];
};
template <class Function>
constexpr OfGroups of_groups(const Function& f) {
  OfGroups all = {};
  for (int g = 0; g < 8; ++g) all.of[g] = static_cast<uint64_t>(f(g));
  return all;
}

// The matrix whose product with a byte has its bits `from`, from + 1, … at `to`, to + 1, …: `n` of
// them. Row i of the result's bits is byte 7 - i.
constexpr uint64_t bit_field(int from, int n, int to) {
  uint64_t matrix = 0;
  for (int i = 0; i < n; ++i) matrix |= uint64_t{1} << (8 * (7 - (to + i)) + from + i);
  return matrix;
}
inline __m512i load(const OfGroups& all) { return _mm512_load_si512(all.of); }
inline __m512i fields(__m512i bytes, const OfGroups& matrices) {
  return _mm512_gf2p8affine_epi64_epi8(bytes, load(matrices), 0);
}

// The two units of 16 bytes' scales and minima: d and dmin, as `unit_of` has the lanes.
inline __m512 units(const uint8_t* b, __m512i unit_of) {
  int pair;
  __builtin_memcpy(&pair, b, 4);
  return _mm512_permutexvar_ps(unit_of,
                               _mm512_castps128_ps512(_mm_cvtph_ps(_mm_cvtsi32_si128(pair))));
}

// Eight 6-bit scales and eight 6-bit minima in 12 bytes, behind d and dmin.
inline BlockScales scales_k4(const uint8_t* b) {
  const __m128i packed = load_16(b + 4);
  // Words: scales 0 … 3, minima 0 … 3, then the others, whose upper bits those have.
  const __m128i low =
      _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(packed, 0xa4), _mm_setr_epi32(0, 0, 0, 4)),
                    _mm_setr_epi32(0x3f3f3f3f, 0x3f3f3f3f, 0x0f0f0f0f, 0x0f0f0f0f));
  const __m128i high = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(packed, 0x44), 2),
                                     _mm_setr_epi32(0, 0, 0x30303030, 0x30303030));
  const __m512i unit_of = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1);
  const __m512 all = _mm512_mul_ps(floats_of(_mm_or_si128(low, high)), units(b, unit_of));
  const __m512i scale_of = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 8, 8, 9, 9, 10, 10, 11, 11);
  const __m512i minimum_of =
      _mm512_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7, 12, 12, 13, 13, 14, 14, 15, 15);
  BlockScales s;
  s.of[0] = _mm512_permutexvar_ps(scale_of, all);
  s.offsets = _mm512_permutexvar_ps(minimum_of, all);
  return s;
}

template <int kScales_>
struct FieldFormat {
  static constexpr int kScales = kScales_;
  static constexpr bool kOffset = true;
};

template <Type>
struct ByFields;

// 128 bytes, of which eight come together in an order of 16 octets.
struct Octets {
  __m512i low, high;
  explicit Octets(const uint8_t* b) : low(load_64(b)), high(load_64(b + 64)) {}
  __m512i in(const OfGroups& order) const {
    return _mm512_permutex2var_epi64(low, load(order), high);
  }
};

// Nibbles of groups 2 i and 2 i + 1 in 32 bytes.
template <int k>
inline __m512i nibbles_of(const Octets& bytes) {
  static constexpr OfGroups kOrder = of_groups([](int g) { return g / 2 * 4 + k; });
  static constexpr OfGroups kNibble = of_groups([](int g) { return bit_field(g % 2 * 4, 4, 0); });
  return fields(bytes.in(kOrder), kNibble);
}

template <>
struct ByFields<Type::Q4_K> : FieldFormat<1> {
  static BlockScales scales(const uint8_t* b) { return scales_k4(b); }
  explicit ByFields(const uint8_t* b) : nibbles(b + 16) {}
  template <int k>
  __m512i codes() const {
    return nibbles_of<k>(nibbles);
  }
  Octets nibbles;
};

// A bit of each group in 32 bytes, to bit kTo.
template <int k, int kTo>
inline __m512i one_bit(const uint8_t* b) {
  static constexpr OfGroups kBit = of_groups([](int g) { return bit_field(g, 1, kTo); });
  long long octet;
  __builtin_memcpy(&octet, b + 8 * k, 8);
  return fields(_mm512_set1_epi64(octet), kBit);
}
// Two bits of four groups in 32 bytes, of the others in 32 more, to bit kTo.
template <int k, int kTo>
inline __m512i two_bits(__m512i bytes) {
  static constexpr OfGroups kOrder = of_groups([](int g) { return g / 4 * 4 + k; });
  static constexpr OfGroups kPair = of_groups([](int g) { return bit_field(g % 4 * 2, 2, kTo); });
  return fields(_mm512_permutexvar_epi64(load(kOrder), bytes), kPair);
}

template <>
struct ByFields<Type::Q5_K> : FieldFormat<1> {
  static BlockScales scales(const uint8_t* b) { return scales_k4(b); }
  explicit ByFields(const uint8_t* b) : nibbles(b + 48), fifth(b + 16) {}
  template <int k>
  __m512i codes() const {
    return _mm512_or_si512(nibbles_of<k>(nibbles), one_bit<k, 4>(fifth));
  }
  Octets nibbles;
  const uint8_t* fifth;
};

template <>
struct ByFields<Type::Q2_K> : FieldFormat<2> {
  static BlockScales scales(const uint8_t* b) {
    const __m128i packed = load_16(b), low = _mm_set1_epi8(15);
    const __m512 d = units(b + 80, _mm512_setzero_si512());
    const __m512 dmin = units(b + 80, _mm512_set1_epi32(1));
    BlockScales s;
    firsts_and_seconds(_mm512_mul_ps(floats_of(_mm_and_si128(packed, low)), d), s);
    s.offsets = _mm512_mul_ps(floats_of(_mm_and_si128(_mm_srli_epi16(packed, 4), low)), dmin);
    return s;
  }
  explicit ByFields(const uint8_t* b) : pairs(load_64(b + 16)) {}
  template <int k>
  __m512i codes() const {
    return two_bits<k, 0>(pairs);
  }
  __m512i pairs;
};

// Sixteen signed scales times d, and what a bias of the codes makes of them.
inline BlockScales signed_scales(const uint8_t* d, __m128i scales, int bias) {
  const __m512 all = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scales)),
                                   _mm512_set1_ps(Avx512Vnni::first(Avx512Vnni::broadcast_f16(d))));
  BlockScales s;
  firsts_and_seconds(all, s);
  s.offsets = _mm512_mul_ps(all, _mm512_set1_ps(static_cast<float>(bias)));
  return s;
}

template <>
struct ByFields<Type::Q3_K> : FieldFormat<2> {
  static BlockScales scales(const uint8_t* b) {
    long long low;
    int high;
    __builtin_memcpy(&low, b + 96, 8);
    __builtin_memcpy(&high, b + 104, 4);
    const __m128i nibbles = _mm_and_si128(
        _mm_srlv_epi64(_mm_set1_epi64x(low), _mm_set_epi64x(4, 0)), _mm_set1_epi8(15));
    const __m128i upper = _mm_and_si128(
        _mm_srlv_epi32(_mm_set1_epi32(high), _mm_setr_epi32(0, 2, 4, 6)), _mm_set1_epi8(3));
    const __m128i all = _mm_or_si128(nibbles, _mm_slli_epi16(upper, 4));
    return signed_scales(b + 108, _mm_sub_epi8(all, _mm_set1_epi8(32)), 4);
  }
  explicit ByFields(const uint8_t* b) : pairs(load_64(b + 32)), third(b) {}
  template <int k>
  __m512i codes() const {
    return _mm512_or_si512(two_bits<k, 0>(pairs), one_bit<k, 2>(third));
  }
  __m512i pairs;
  const uint8_t* third;
};

template <>
struct ByFields<Type::IQ4_XS> : FieldFormat<1> {
  static BlockScales scales(const uint8_t* b) {
    __m256 s[1];
    generic::IQ4_XS<Avx512Vnni>::scales(b, s, nullptr);
    BlockScales all;
    all.of[0] = twice_each(s[0]);
    all.offsets = _mm512_mul_ps(all.of[0], _mm512_set1_ps(128));
    return all;
  }
  explicit ByFields(const uint8_t* b) : nibbles(b + 8) {}
  template <int k>
  __m512i codes() const {  // a group's first half are the low nibbles of its 16 bytes
    static constexpr OfGroups kOrder = of_groups([](int g) { return 2 * g + k % 2; });
    static constexpr OfGroups kNibble = of_groups([](int) { return bit_field(k / 2 * 4, 4, 0); });
    const __m512i levels = _mm512_broadcast_i32x4(load_16(generic::kIq4Unsigned.of));
    return _mm512_shuffle_epi8(levels, fields(nibbles.in(kOrder), kNibble));
  }
  Octets nibbles;
};

template <class F, int kBytes>
float dot_by_fields(const uint8_t* w, int64_t columns, SpreadRow x) {
  SpreadSums sums;
  const uint8_t* end = w + columns / 256 * kBytes;
  for (; w != end; w += kBytes, step(x)) {
    generic::ask_ahead<Avx512Vnni, kBytes>(w);
    const F block(w);
    sums.add<F>(F::scales(w), x, [&block]<int k>(__m512i dot, __m512i xs) {
      return _mm512_dpbusd_epi32(dot, block.template codes<k>(), xs);
    });
  }
  return sums.total();
}

}  // namespace
}  // namespace enxuto
