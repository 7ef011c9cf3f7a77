// The vector primitives that generic/ is written in, with 256-bit registers (AVX2, FMA, F16C).
// Included only by units compiled for them. Everything here has internal linkage, so that no code
// of a unit can stand in for another's.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace enxuto {
namespace {

struct Avx2Vectors {
  using Bytes = __m256i;    // 32 x 8 bits
  using Ints = __m256i;     // 8 x i32
  using Floats = __m256;    // 8 x f32
  using Doubles = __m256d;  // 4 x f64
  static constexpr int kLanes = 8;

  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
  static void prefetch_l2(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

  // ---- bytes
  static Bytes load_bytes(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static void store_bytes(void* p, Bytes a) { _mm256_storeu_si256(static_cast<__m256i*>(p), a); }
  static Bytes all_bytes(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
  static Bytes both_halves(const void* p) {  // 16 bytes, twice
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  // 16 bytes of each
  static Bytes load_halves(const void* a, const void* b) {
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(a))),
        _mm_loadu_si128(static_cast<const __m128i*>(b)), 1);
  }
  static Bytes first_halves(Bytes a, Bytes b) { return _mm256_permute2x128_si256(a, b, 0x20); }
  static Bytes second_halves(Bytes a, Bytes b) { return _mm256_permute2x128_si256(a, b, 0x31); }
  // 16 bytes -> their low nibbles, then their high ones
  static Bytes split_nibbles(const void* p) {
    const __m128i a = _mm_loadu_si128(static_cast<const __m128i*>(p));
    const __m256i both =
        _mm256_inserti128_si256(_mm256_castsi128_si256(a), _mm_srli_epi16(a, 4), 1);
    return _mm256_and_si256(both, all_bytes(15));
  }
  // (bytes >> kShift) & mask, a negative shift goes left; mask keeps out what crosses from a
  // neighbour
  template <int kShift>
  static Bytes field(Bytes a, int mask) {
    if constexpr (kShift > 0) a = _mm256_srli_epi16(a, kShift);
    if constexpr (kShift < 0) a = _mm256_slli_epi16(a, -kShift);
    return _mm256_and_si256(a, all_bytes(mask));
  }
  static Bytes bit_or(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
  static Bytes subtract_bytes(Bytes a, Bytes b) { return _mm256_sub_epi8(a, b); }
  static Bytes add_bytes(Bytes a, Bytes b) { return _mm256_add_epi8(a, b); }
  // 3 a / 256, rounded down: from 86 on 1, from 171 on 2
  static Bytes whole_thirds(Bytes a) {
    const __m256i one = _mm256_cmpeq_epi8(_mm256_max_epu8(a, all_bytes(86)), a);
    const __m256i two = _mm256_cmpeq_epi8(_mm256_max_epu8(a, all_bytes(171)), a);
    return _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(one, two));
  }
  // bit i of the word -> byte i: `value` or 0
  static Bytes spread_bits(uint32_t word, int value) {
    const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(spread_bytes(word), bit), bit);
    return _mm256_and_si256(is_set, all_bytes(value));
  }
  // -a where the word has a bit
  static Bytes negate_where(Bytes a, uint32_t word) {
    const Bytes minus = spread_bits(word, 0xff);
    return _mm256_sub_epi8(_mm256_xor_si256(a, minus), minus);
  }
  // 8 bytes -> 32 two-bit fields, lowest first
  static Bytes spread_pairs(const void* p) {
    int64_t word;
    __builtin_memcpy(&word, p, 8);
    const __m256i order = _mm256_setr_epi64x(0x0101010100000000, 0x0303030302020202,
                                             0x0505050504040404, 0x0707070706060606);
    const __m256i a = _mm256_shuffle_epi8(_mm256_set1_epi64x(word), order);
    const __m256i even = _mm256_blend_epi16(a, _mm256_srli_epi16(a, 4), 0xaa);
    return _mm256_or_si256(_mm256_and_si256(even, _mm256_set1_epi16(3)),
                           _mm256_and_si256(_mm256_srli_epi16(even, 2), _mm256_set1_epi16(0x300)));
  }
  static Bytes look_up(Bytes table, Bytes index) { return _mm256_shuffle_epi8(table, index); }
  // 0 where the index is 16 or more, up to 143.
  static Bytes look_up_or_zero(Bytes table, Bytes index) {
    return _mm256_shuffle_epi8(table, _mm256_add_epi8(index, all_bytes(0x70)));
  }
  // byte q of the word -> bytes 8 q … 8 q + 7
  static Bytes spread_bytes(uint32_t word) {
    const __m256i order = _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101,
                                             0x0202020202020202, 0x0303030303030303);
    return _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(word)), order);
  }
  static Bytes four_longs(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    return _mm256_setr_epi64x(static_cast<int64_t>(a), static_cast<int64_t>(b),
                              static_cast<int64_t>(c), static_cast<int64_t>(d));
  }

  // ---- whole numbers
  static Ints zero_ints() { return _mm256_setzero_si256(); }
  static Ints add_ints(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
  static Ints all_ints(int32_t a) { return _mm256_set1_epi32(a); }
  static Ints counting() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
  static Ints multiply_ints(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
  static Ints and_ints(Ints a, Ints b) { return _mm256_and_si256(a, b); }
  static Ints xor_ints(Ints a, Ints b) { return _mm256_xor_si256(a, b); }
  template <int kShift>
  static Ints shift_right(Ints a) {  // of numbers without a sign
    return _mm256_srli_epi32(a, kShift);
  }
  // The upper 16 bits of each lane.
  static void store_upper_halves(void* p, Ints a) {
    const __m256i halves = _mm256_srli_epi32(a, 16);
    _mm_storeu_si128(
        static_cast<__m128i*>(p),
        _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
  }
  static Ints load_u8(const void* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  }
  static Ints u8_of(uint64_t bytes) {
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(bytes)));
  }
  static Ints load_i8(const void* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  }
  static Floats to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }
  static Ints round_to_ints(Floats a) { return _mm256_cvtps_epi32(a); }
  static int32_t sum_ints(Ints a) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
  }
  // Halves of the lanes added up: those of a, b, c, d, then the upper ones.
  static Ints sums_of_four(Ints a, Ints b, Ints c, Ints d) {
    const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
  }
  // 4 x 8 numbers of at most 127 -> 32 bytes in order
  static Bytes pack_ints(Ints a, Ints b, Ints c, Ints d) {
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }
  // 2^n for whole n in [-126, 127]
  static Floats power_of_two(Ints n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }

  // ---- floats
  static Floats zero() { return _mm256_setzero_ps(); }
  static Floats all(float a) { return _mm256_set1_ps(a); }
  static Floats load(const float* p) { return _mm256_loadu_ps(p); }
  static Floats broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static void store(float* p, Floats a) { _mm256_storeu_ps(p, a); }
  static Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
  static Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats negative_fma(Floats a, Floats b, Floats c) { return _mm256_fnmadd_ps(a, b, c); }
  static Floats minimum(Floats a, Floats b) { return _mm256_min_ps(a, b); }
  static Floats maximum(Floats a, Floats b) { return _mm256_max_ps(a, b); }
  // Of values without a sign, whose bits order as integers do: a NaN is larger than all.
  static Floats maximum_or_nan(Floats a, Floats b) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
  }
  static float largest_or_nan(Floats a) {
    const __m256i bits = _mm256_castps_si256(a);
    __m128i s = _mm_max_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(s, _mm_shuffle_epi32(s, 0xb1))));
  }
  static Floats absolute(Floats a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static Floats round(Floats a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Floats floor(Floats a) { return _mm256_floor_ps(a); }
  static Floats square_roots(Floats a) { return _mm256_sqrt_ps(a); }
  // x where a > b, else y
  static Floats where_greater(Floats a, Floats b, Floats x, Floats y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
  }
  // x where a is a number, else y
  static Ints where_number(Floats a, Ints x, Ints y) {
    return _mm256_blendv_epi8(y, x, _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_ORD_Q)));
  }
  static Ints bits_of(Floats a) { return _mm256_castps_si256(a); }
  static float first(Floats a) { return _mm256_cvtss_f32(a); }
  static float sum(Floats a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float largest(Floats a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }
  // a (8) -> its lower half twice, its upper half twice
  static void double_halves(Floats a, Floats& lower, Floats& upper) {
    lower = _mm256_permute2f128_ps(a, a, 0x00);
    upper = _mm256_permute2f128_ps(a, a, 0x11);
  }
  static Floats evens_then_odds(Floats a) {
    return _mm256_permutevar8x32_ps(a, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
  }
  // Sums of neighbours: a0 + a1, …, a6 + a7, b0 + b1, …, b6 + b7
  static Floats add_pairs(Floats a, Floats b) {
    const __m256d sums = _mm256_castps_pd(_mm256_hadd_ps(a, b));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(sums, 0xd8));
  }
  // p[0] in the lower half of the lanes, p[1] in the upper
  static Floats broadcast_two(const float* p) {
    const __m256 pair = _mm256_castpd_ps(_mm256_broadcast_sd(reinterpret_cast<const double*>(p)));
    return _mm256_permutevar_ps(pair, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
  }
  // a in the lower half of the lanes, b in the upper
  static Floats two(float a, float b) { return _mm256_setr_ps(a, a, a, a, b, b, b, b); }
  // Lanes 1 and 3, zeros elsewhere: what meets the minima of broadcast_two_f16_pairs.
  static Floats at_minima(float a, float b) { return _mm256_setr_ps(0, a, 0, b, 0, 0, 0, 0); }
  static void transpose(Floats (&a)[8]) {
    __m256 b[8];
    for (int i = 0; i < 8; i += 2) {
      b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
      b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
      a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
      a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
      a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
      a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    for (int i = 0; i < 4; ++i) {
      const __m256 low = a[i], high = a[i + 4];
      a[i] = _mm256_permute2f128_ps(low, high, 0x20);
      a[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
    }
  }
  static Floats as_floats(Bytes a) { return _mm256_castsi256_ps(a); }

  // ---- half precision
  static Floats load_f16(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  // 16 bytes in this order, as f16: zero bytes where it says 128.
  static Floats load_f16_by(const void* p, const uint8_t* order) {
    return _mm256_cvtph_ps(_mm_shuffle_epi8(_mm_loadu_si128(static_cast<const __m128i*>(p)),
                                            *reinterpret_cast<const __m128i*>(order)));
  }
  static Floats load_bf16(const void* p) {
    const __m128i a = _mm_loadu_si128(static_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(a), 16));
  }
  static Floats broadcast_f16(const void* p) {
    int16_t half;
    __builtin_memcpy(&half, p, 2);
    return _mm256_cvtph_ps(_mm_set1_epi16(half));
  }
  // Two neighbouring f16, each in all lanes.
  static void broadcast_two_f16(const void* p, Floats& a, Floats& b) {
    int pair;
    __builtin_memcpy(&pair, p, 4);
    const __m256 both = _mm256_cvtph_ps(_mm_set1_epi32(pair));
    a = _mm256_moveldup_ps(both);
    b = _mm256_movehdup_ps(both);
  }
  static Floats broadcast_two_f16(const void* p, const void* q) {
    uint16_t a, b;
    __builtin_memcpy(&a, p, 2);
    __builtin_memcpy(&b, q, 2);
    const __m128i both = _mm_cvtsi32_si128(static_cast<int>(a | uint32_t{b} << 16));
    return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_cvtph_ps(both)),
                                    _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
  }
  // Of two blocks, each of which begins with a scale and a minimum: the first one's scale in the
  // lower half, the other's in the upper; lanes 0 … 3 of `all`: scale, minimum, scale, minimum.
  static void broadcast_two_f16_pairs(const void* p, const void* q, Floats& scales, Floats& all) {
    int a, b;
    __builtin_memcpy(&a, p, 4);
    __builtin_memcpy(&b, q, 4);
    all = _mm256_cvtph_ps(_mm_insert_epi32(_mm_cvtsi32_si128(a), b, 1));
    scales = _mm256_permutevar8x32_ps(all, _mm256_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2));
  }
  static void store_f16(void* p, Floats a) {
    _mm_storeu_si128(static_cast<__m128i*>(p),
                     _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }

  // ---- sums in double
  static Doubles zero_doubles() { return _mm256_setzero_pd(); }
  static Doubles add_squares(Floats a, Doubles sum) {
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(a));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
    return _mm256_fmadd_pd(high, high, _mm256_fmadd_pd(low, low, sum));
  }
  static double sum_doubles(Doubles a) {
    const __m128d s = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
  }
  static float square_root(float a) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a))); }
};

}  // namespace
}  // namespace enxuto
