// The vector primitives with AVX-512 (F, BW, DQ, VL) and VNNI: four 8-bit products a lane in one
// instruction, unsigned times signed, so signed weights are shifted by 128. Rows by 256-bit
// vectors, tiles by 512-bit ones. Included only by units compiled for them.
#pragma once

#include "kernels/isa/avx2_vectors.h"

namespace enxuto {
namespace {

struct Avx512Vnni : Avx2Vectors {
  static constexpr bool kUnsignedOnly = true;

  // ---- 64 bytes: two groups
  using Wide = __m512i;
  using WideFloats = __m512;
  // Low and high nibbles of 16 bytes, then of 16 more, by a table of 16 bytes.
  static Wide look_up_nibbles(const void* table, const void* p) {
    const Wide twice = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 1, 0, 1, 2, 3, 2, 3),
                                                _mm512_castsi256_si512(load_bytes(p)));
    const Wide shifted = _mm512_srlv_epi64(twice, _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4));
    return _mm512_shuffle_epi8(
        _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(table))),
        _mm512_and_si512(shifted, _mm512_set1_epi8(15)));
  }
  static Wide dot_wide(Wide w, const int8_t* x) {
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, _mm512_loadu_si512(x));
  }
  static WideFloats wide_zero() { return _mm512_setzero_ps(); }
  // Quarters of the lanes added up: those of a, b, c, d, then the next ones.
  static WideFloats sums_of_four(Wide a, Wide b, Wide c, Wide d) {
    const Wide ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const Wide cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_cvtepi32_ps(
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd)));
  }
  using Avx2Vectors::sums_of_four;
  // Eight groups' as sums_of_four has their dot products: in two lanes each.
  static WideFloats by_group(Floats a) {
    const Wide order = _mm512_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6, 1, 3, 5, 7, 1, 3, 5, 7);
    return _mm512_permutexvar_ps(order, _mm512_castps256_ps512(a));
  }
  static WideFloats fma(WideFloats a, WideFloats b, WideFloats c) {
    return _mm512_fmadd_ps(a, b, c);
  }
  using Avx2Vectors::fma;
  static float sum(WideFloats a) { return _mm512_reduce_add_ps(a); }
  using Avx2Vectors::sum;

  // ---- tiles with one scale a row
  // The lower 16 bits of a lane, twice.
  static Ints both_words(Ints a) {
    return _mm256_or_si256(_mm256_slli_epi32(a, 16),
                           _mm256_and_si256(a, _mm256_set1_epi32(0xffff)));
  }
  // Of each byte: (factor * byte + shift) / 256, rounded down; both words of a lane alike.
  static Floats rescale(Floats codes, Floats factor, Floats shift) {
    const Ints a = _mm256_castps_si256(codes), f = _mm256_castps_si256(factor);
    const auto scaled = [&](Ints words) {
      return _mm256_add_epi16(_mm256_mullo_epi16(words, f), _mm256_castps_si256(shift));
    };
    const Ints even = scaled(_mm256_and_si256(a, _mm256_set1_epi16(255)));
    const Ints odd = scaled(_mm256_srli_epi16(a, 8));
    constexpr int kFirstWhereSet = 0xe4;  // the second's bits where the third has none
    return _mm256_castsi256_ps(_mm256_ternarylogic_epi32(odd, _mm256_srli_epi16(even, 8),
                                                         _mm256_set1_epi16(-256), kFirstWhereSet));
  }

  // ---- 32 bytes
  static Bytes negate_where(Bytes a, uint32_t word) {
    return _mm256_mask_sub_epi8(a, word, zero_ints(), a);
  }
  template <int kBias, bool kSigned>
  static Ints bias(Bytes x) {
    constexpr int shift = kSigned ? 128 : kBias;
    if constexpr (shift == 0) return zero_ints();
    const Ints sum = _mm256_dpbusd_epi32(zero_ints(), all_bytes(shift), x);
    return _mm256_sub_epi32(zero_ints(), sum);
  }
  template <int kBias, bool kSigned>
  static Ints dot(Bytes w, Bytes x, Ints negative_bias) {
    if constexpr (kSigned) w = _mm256_xor_si256(w, all_bytes(128));
    return _mm256_dpbusd_epi32(negative_bias, w, x);
  }
  template <int kBias, bool kSigned>
  static Ints bias(Bytes x0, Bytes x1) {
    return _mm256_add_epi32(bias<kBias, kSigned>(x0), bias<kBias, kSigned>(x1));
  }
  template <int kBias, bool kSigned, int>
  static Ints dot(Bytes w0, Bytes w1, Bytes x0, Bytes x1, Ints negative_bias) {
    return dot<kBias, kSigned>(w1, x1, dot<kBias, kSigned>(w0, x0, negative_bias));
  }
};

struct Avx512Tile {
  using Bytes = __m512i;
  using Ints = __m512i;
  using Partial = __m512i;
  using Floats = __m512;
  static constexpr int kLanes = 16, kTileTokens = 6, kTileRows = 32, kFloatTokens = 12;
  static constexpr bool kUnsignedOnly = true, kWideSums = true;

  static Bytes load_bytes(const void* p) { return _mm512_loadu_si512(p); }
  static Bytes broadcast_four(const void* p) {
    int word;
    __builtin_memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
  }
  template <bool>
  static Partial add_products(Partial sum, Bytes w, Bytes x) {
    // What the intrinsic does; with it, g++ 12 copies every sum twice.
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
  }
  static Partial nothing() { return _mm512_setzero_si512(); }
  // What codes shifted by kBias, a power of two, begin with to be right (PreparedRow::shifts).
  template <int kBias>
  static Partial start(const int32_t* shift) {
    return _mm512_srai_epi32(_mm512_set1_epi32(*shift), 7 - __builtin_ctz(kBias));
  }
  static Ints widen(Partial sum) { return sum; }
  static Ints widen_add(Ints total, Partial sum) { return _mm512_add_epi32(total, sum); }

  static Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
  static Floats zero() { return _mm512_setzero_ps(); }
  static Floats all(float a) { return _mm512_set1_ps(a); }
  static Floats broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Floats load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Floats a) { _mm512_storeu_ps(p, a); }
  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
};

}  // namespace
}  // namespace enxuto
