// The vector kernels of x86, written once and compiled by each unit of this folder for its
// instruction set. A unit defines `dot_u8s8` and `dot_s8s8` (32 byte products, summed by fours into
// 8 integers) before it includes this file.
//
// Everything is in an unnamed namespace and uses no templates of the standard library: code of one
// instruction set must never be linked into another's place.
//
// matmul: a format gives, per sub-block of 32 weights, unsigned (or signed) byte codes in order;
// and per row the scales and offsets, so that   dot = sum_b scale[b] * xscale[b] * (codes . xcodes)
// +  sum_j offset[j] * xsums[j].
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/tables.h"

namespace enxuto {
namespace {

inline float half_to_float(const uint8_t* p) {
  uint16_t half;
  __builtin_memcpy(&half, p, 2);
  return _cvtsh_ss(half);
}

inline __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

// 16 bytes of nibbles -> 32 bytes: low nibbles, then high ones.
inline __m256i nibbles(const uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m256i both =
      _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi16(bytes, 4), 1);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

// Bit i of 32 -> byte i: 0xff where set.
inline __m256i spread_bits(const uint8_t* p) {
  uint32_t bits;
  __builtin_memcpy(&bits, p, 4);
  const __m256i shuffle =
      _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
  const __m256i select = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), shuffle);
  return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, select), select);
}

inline float sum8(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

// ---- formats: kValues a block of kBytes; sub-block s of 32 codes; scales one per 32 (kSplit =
// false) or one per 16 values.

template <int kValues_, int kBytes_, bool kSigned_, bool kSplit_>
struct Shape {
  static constexpr int kValues = kValues_, kBytes = kBytes_, kSubs = kValues_ / 32;
  static constexpr bool kSigned = kSigned_, kSplit = kSplit_;
};

// scale: (kSubs) or, split, (2 kSubs); offset: (2 kSubs), one per 16 values.
struct FormatQ4_0 : Shape<32, 18, false, false> {
  static __m256i codes(const uint8_t* b, int) { return nibbles(b + 2); }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    scale[0] = half_to_float(b);
    offset[0] = offset[1] = -8 * scale[0];
  }
};

struct FormatQ4_1 : Shape<32, 20, false, false> {
  static __m256i codes(const uint8_t* b, int) { return nibbles(b + 4); }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    scale[0] = half_to_float(b);
    offset[0] = offset[1] = half_to_float(b + 2);
  }
};

struct FormatQ5_0 : Shape<32, 22, false, false> {
  static __m256i codes(const uint8_t* b, int) {
    return _mm256_or_si256(nibbles(b + 6),
                           _mm256_and_si256(spread_bits(b + 2), _mm256_set1_epi8(16)));
  }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    scale[0] = half_to_float(b);
    offset[0] = offset[1] = -16 * scale[0];
  }
};

struct FormatQ5_1 : Shape<32, 24, false, false> {
  static __m256i codes(const uint8_t* b, int) {
    return _mm256_or_si256(nibbles(b + 8),
                           _mm256_and_si256(spread_bits(b + 4), _mm256_set1_epi8(16)));
  }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    scale[0] = half_to_float(b);
    offset[0] = offset[1] = half_to_float(b + 2);
  }
};

struct FormatQ8_0 : Shape<32, 34, true, false> {
  static __m256i codes(const uint8_t* b, int) { return load32(b + 2); }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    scale[0] = half_to_float(b);
    offset[0] = offset[1] = 0;
  }
};

struct FormatQ2_0 : Shape<64, 18, false, false> {
  static __m256i codes(const uint8_t* b, int s) {
    const __m256i v =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(b + 2 + 8 * s)));
    const __m256i low = _mm256_or_si256(v, _mm256_slli_epi32(v, 6));
    return _mm256_and_si256(_mm256_or_si256(low, _mm256_slli_epi32(low, 12)), _mm256_set1_epi8(3));
  }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    scale[0] = scale[1] = half_to_float(b);
    offset[0] = offset[1] = offset[2] = offset[3] = -scale[0];
  }
};

inline __m256i look_up(__m128i table, __m256i codes) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), codes);
}

inline __m128i iq4_table() {
  return _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}
inline __m128i e2m1_table() {
  return _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
}

struct FormatIQ4_NL : Shape<32, 18, true, false> {
  static __m256i codes(const uint8_t* b, int) { return look_up(iq4_table(), nibbles(b + 2)); }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    scale[0] = half_to_float(b);
    offset[0] = offset[1] = 0;
  }
};

struct FormatMXFP4 : Shape<32, 17, true, false> {
  static __m256i codes(const uint8_t* b, int) { return look_up(e2m1_table(), nibbles(b + 1)); }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    const uint32_t bits = b[0] < 2 ? 0x00200000u << b[0] : static_cast<uint32_t>(b[0] - 1) << 23;
    __builtin_memcpy(scale, &bits, 4);
    offset[0] = offset[1] = 0;
  }
};

struct FormatIQ4_XS : Shape<256, 136, true, false> {
  static __m256i codes(const uint8_t* b, int s) {
    return look_up(iq4_table(), nibbles(b + 8 + 16 * s));
  }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    const float d = half_to_float(b);
    const int high = b[2] | b[3] << 8;
    for (int s = 0; s < 8; ++s) {
      scale[s] = d * static_cast<float>(
                         ((b[4 + s / 2] >> 4 * (s % 2) & 15) | (high >> 2 * s & 3) << 4) - 32);
      offset[2 * s] = offset[2 * s + 1] = 0;
    }
  }
};

// 32 bytes, shifted right by `shift` bits within each byte and masked.
inline __m256i bits_at(const uint8_t* p, int shift, int mask) {
  return _mm256_and_si256(_mm256_srl_epi16(load32(p), _mm_cvtsi32_si128(shift)),
                          _mm256_set1_epi8(static_cast<char>(mask)));
}

// Byte i is `value` where bit `bit` of p[i] is set.
inline __m256i bit_of_each(const uint8_t* p, int bit, int value) {
  const __m256i mask = _mm256_set1_epi8(static_cast<char>(1 << bit));
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(load32(p), mask), mask),
                          _mm256_set1_epi8(static_cast<char>(value)));
}

struct FormatQ2_K : Shape<256, 84, false, true> {
  static __m256i codes(const uint8_t* b, int s) {
    return bits_at(b + 16 + 32 * (s / 4), 2 * (s % 4), 3);
  }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    const float d = half_to_float(b + 80), dmin = half_to_float(b + 82);
    for (int j = 0; j < 16; ++j) {
      scale[j] = d * static_cast<float>(b[j] & 15);
      offset[j] = -dmin * static_cast<float>(b[j] >> 4);
    }
  }
};

struct FormatQ3_K : Shape<256, 110, false, true> {
  static __m256i codes(const uint8_t* b, int s) {
    return _mm256_or_si256(bits_at(b + 32 + 32 * (s / 4), 2 * (s % 4), 3), bit_of_each(b, s, 4));
  }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    const float d = half_to_float(b + 108);
    const uint8_t* p = b + 96;
    for (int j = 0; j < 16; ++j) {
      const int packed = (p[j % 8] >> 4 * (j / 8) & 15) | (p[8 + j % 4] >> 2 * (j / 4) & 3) << 4;
      scale[j] = d * static_cast<float>(packed - 32);
      offset[j] = -4 * scale[j];
    }
  }
};

inline void scales_k4(const uint8_t* b, float* scale, float* offset) {
  const float d = half_to_float(b), dmin = -half_to_float(b + 2);
  const uint8_t* p = b + 4;
  for (int s = 0; s < 4; ++s) {
    scale[s] = d * static_cast<float>(p[s] & 63);
    scale[s + 4] = d * static_cast<float>((p[s + 8] & 15) | (p[s] >> 6) << 4);
    offset[2 * s] = offset[2 * s + 1] = dmin * static_cast<float>(p[s + 4] & 63);
    offset[2 * s + 8] = offset[2 * s + 9] =
        dmin * static_cast<float>((p[s + 8] >> 4) | (p[s + 4] >> 6) << 4);
  }
}

struct FormatQ4_K : Shape<256, 144, false, false> {
  static __m256i codes(const uint8_t* b, int s) {
    return bits_at(b + 16 + 32 * (s / 2), 4 * (s % 2), 15);
  }
  static void scales(const uint8_t* b, float* scale, float* offset) { scales_k4(b, scale, offset); }
};

struct FormatQ5_K : Shape<256, 176, false, false> {
  static __m256i codes(const uint8_t* b, int s) {
    return _mm256_or_si256(bits_at(b + 48 + 32 * (s / 2), 4 * (s % 2), 15),
                           bit_of_each(b + 16, s, 16));
  }
  static void scales(const uint8_t* b, float* scale, float* offset) { scales_k4(b, scale, offset); }
};

struct FormatQ6_K : Shape<256, 210, false, true> {
  static __m256i codes(const uint8_t* b, int s) {
    const int h = s / 4, j = s % 4;
    const __m256i high = bits_at(b + 128 + 32 * h, 2 * j, 3);
    return _mm256_or_si256(bits_at(b + 64 * h + 32 * (j % 2), 4 * (j / 2), 15),
                           _mm256_slli_epi16(high, 4));
  }
  static void scales(const uint8_t* b, float* scale, float* offset) {
    const float d = half_to_float(b + 208);
    for (int j = 0; j < 16; ++j) {
      scale[j] = d * static_cast<float>(static_cast<int8_t>(b[192 + j]));
      offset[j] = -32 * scale[j];
    }
  }
};

// ---- matmul over any of them

template <class F>
inline __m256i dot_codes(__m256i w, __m256i x) {
  return F::kSigned ? dot_s8s8(w, x) : dot_u8s8(w, x);
}

// The scale of sub-block b as 8 lanes: split, its two halves.
template <class F>
inline __m256 scale_lanes(const float* scale, int64_t b) {
  if (!F::kSplit) return _mm256_broadcast_ss(scale + b);
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_broadcast_ss(scale + 2 * b)),
                              _mm_broadcast_ss(scale + 2 * b + 1), 1);
}

inline float dot_floats(const float* a, const float* b, int64_t n) {
  __m256 s = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) s = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s);
  float sum = sum8(s);
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// One token: kRows rows at a time straight from the file's blocks, scales included, so that weights
// are touched once.
template <class F, int kRows>
inline void rows_by_one(const uint8_t* w, uint64_t row_bytes, int64_t n_blocks,
                        const PreparedRow& x, float* y) {
  __m256 sum[kRows], correction[kRows];
  for (int r = 0; r < kRows; ++r) sum[r] = correction[r] = _mm256_setzero_ps();
  for (int64_t b = 0; b < n_blocks; ++b) {
    const int8_t* codes = x.codes + b * F::kValues;
    const float* x_scales = x.scales + b * F::kSubs;
    const float* x_sums = x.sums + b * 2 * F::kSubs;
    for (int r = 0; r < kRows; ++r) {
      const uint8_t* block = w + static_cast<uint64_t>(r) * row_bytes + b * F::kBytes;
      __builtin_prefetch(block + 512);
      alignas(32) float scale[2 * F::kSubs], offset[2 * F::kSubs];
      F::scales(block, scale, offset);
#pragma GCC unroll 8
      for (int s = 0; s < F::kSubs; ++s) {
        const __m256i p = dot_codes<F>(F::codes(block, s), load32(codes + 32 * s));
        const __m256 by =
            _mm256_mul_ps(scale_lanes<F>(scale, s), _mm256_broadcast_ss(x_scales + s));
        sum[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(p), by, sum[r]);
      }
      if (F::kSigned) continue;
      if (F::kSubs == 8) {
        correction[r] =
            _mm256_fmadd_ps(_mm256_load_ps(offset), _mm256_loadu_ps(x_sums), correction[r]);
        correction[r] = _mm256_fmadd_ps(_mm256_load_ps(offset + 8 % (2 * F::kSubs)),
                                        _mm256_loadu_ps(x_sums + 8), correction[r]);
      } else {
        for (int s = 0; s < F::kSubs; ++s) {
          const __m128 both =
              _mm_mul_ss(_mm_set_ss(offset[2 * s]), _mm_set_ss(x_sums[2 * s] + x_sums[2 * s + 1]));
          correction[r] = _mm256_add_ps(correction[r], _mm256_zextps128_ps256(both));
        }
      }
    }
  }
  for (int r = 0; r < kRows; ++r) y[r] = sum8(_mm256_add_ps(sum[r], correction[r]));
}

// One row, unpacked once for many tokens.
template <class F>
struct UnpackedRow {
  int8_t* codes;  // (columns)
  float* scale;   // (columns / 32), or split (columns / 16)
  float* offset;  // (columns / 16)

  void unpack(const uint8_t* row, int64_t n_blocks) const {
    for (int64_t b = 0; b < n_blocks; ++b, row += F::kBytes) {
      F::scales(row, scale + b * F::kSubs * (F::kSplit ? 2 : 1), offset + b * F::kSubs * 2);
#pragma GCC unroll 8
      for (int s = 0; s < F::kSubs; ++s)
        _mm256_store_si256(reinterpret_cast<__m256i*>(codes + (b * F::kSubs + s) * 32),
                           F::codes(row, s));
    }
  }
};

template <class F, int kRows, int kTokens>
inline void tile(const UnpackedRow<F>* w, int64_t columns, const PreparedRow* x, float* y,
                 int64_t y_stride) {
  __m256 sum[kRows][kTokens];
  for (int r = 0; r < kRows; ++r)
    for (int t = 0; t < kTokens; ++t) sum[r][t] = _mm256_setzero_ps();
  for (int64_t b = 0; b < columns / 32; ++b) {
    __m256i codes[kRows];
    __m256 scale[kRows];
    for (int r = 0; r < kRows; ++r) {
      codes[r] = _mm256_load_si256(reinterpret_cast<const __m256i*>(w[r].codes + 32 * b));
      scale[r] = scale_lanes<F>(w[r].scale, b);
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const __m256i xc = load32(x[t].codes + 32 * b);
      const __m256 xs = _mm256_broadcast_ss(x[t].scales + b);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r)
        sum[r][t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_codes<F>(codes[r], xc)),
                                    _mm256_mul_ps(scale[r], xs), sum[r][t]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int t = 0; t < kTokens; ++t) {
      const float correction = F::kSigned ? 0.0f : dot_floats(w[r].offset, x[t].sums, columns / 16);
      y[t * y_stride + r] = sum8(sum[r][t]) + correction;
    }
}

template <class F, int kRows>
inline void rows_by_many(const UnpackedRow<F>* w, int64_t columns, const PreparedRow* x, int64_t n,
                         float* y, int64_t y_stride) {
  int64_t t = 0;
  for (; t + 4 <= n; t += 4) tile<F, kRows, 4>(w, columns, x + t, y + t * y_stride, y_stride);
  for (; t < n; ++t) tile<F, kRows, 1>(w, columns, x + t, y + t * y_stride, y_stride);
}

constexpr int64_t kTokenTile =
    32;  // tokens whose codes stay in the first-level cache while rows pass by

// Room for two unpacked rows; wider matrices take one at a time, or go token by token.
constexpr int64_t unpacked_bytes(int64_t columns) {
  return (columns + 63) / 64 * 64 + (columns / 2 + 63) / 64 * 64;
}

template <class F>
void matmul_blocks(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                   int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  const int64_t n_blocks = w.columns / F::kValues;
  const auto row_at = [&](int64_t r) { return w.data + static_cast<uint64_t>(r) * w.row_bytes; };
  constexpr int64_t kScratchBytes = kKernelScratchFloats * 4;
  const int64_t rows_unpacked = kScratchBytes / unpacked_bytes(w.columns);
  if (n_tokens == 1 || rows_unpacked == 0) {
    for (int64_t t = 0; t < n_tokens; ++t) {
      float* out = y + t * y_stride;
      int64_t r = begin;
      for (; r + 2 <= end; r += 2)
        rows_by_one<F, 2>(row_at(r), w.row_bytes, n_blocks, x[t], out + r - begin);
      if (r < end) rows_by_one<F, 1>(row_at(r), w.row_bytes, n_blocks, x[t], out + r - begin);
    }
    return;
  }
  UnpackedRow<F> unpacked[2];
  auto* memory = reinterpret_cast<uint8_t*>(scratch);
  for (int i = 0; i < 2 && i < rows_unpacked; ++i, memory += unpacked_bytes(w.columns)) {
    unpacked[i].codes = reinterpret_cast<int8_t*>(memory);
    unpacked[i].scale = reinterpret_cast<float*>(memory + (w.columns + 63) / 64 * 64);
    unpacked[i].offset = unpacked[i].scale + w.columns / 16;
  }
  for (int64_t t = 0; t < n_tokens; t += kTokenTile) {
    const int64_t n = n_tokens - t < kTokenTile ? n_tokens - t : kTokenTile;
    float* out = y + t * y_stride;
    int64_t r = begin;
    for (; rows_unpacked >= 2 && r + 2 <= end; r += 2) {
      for (int i = 0; i < 2; ++i) unpacked[i].unpack(row_at(r + i), n_blocks);
      rows_by_many<F, 2>(unpacked, w.columns, x + t, n, out + r - begin, y_stride);
    }
    for (; r < end; ++r) {
      unpacked[0].unpack(row_at(r), n_blocks);
      rows_by_many<F, 1>(unpacked, w.columns, x + t, n, out + r - begin, y_stride);
    }
  }
}

// ---- float formats, and every format without a kernel of its own: rows become floats once, then
// register tiles

// y (+)= the product over `columns` values of each row, the inputs' from `first` on.
template <int kRows, int kTokens>
inline void float_tile(const float* w, int64_t w_stride, int64_t first, int64_t columns,
                       const PreparedRow* x, float* y, int64_t y_stride) {
  __m256 sum[kRows][kTokens];
  for (int r = 0; r < kRows; ++r)
    for (int t = 0; t < kTokens; ++t) sum[r][t] = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + 8 <= columns; i += 8) {
    __m256 row[kRows];
    for (int r = 0; r < kRows; ++r) row[r] = _mm256_loadu_ps(w + r * w_stride + i);
#pragma GCC unroll 4
    for (int t = 0; t < kTokens; ++t) {
      const __m256 xv = _mm256_loadu_ps(x[t].values + first + i);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sum[r][t] = _mm256_fmadd_ps(row[r], xv, sum[r][t]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int t = 0; t < kTokens; ++t) {
      float total = sum8(sum[r][t]);
      for (int64_t j = i; j < columns; ++j) total += w[r * w_stride + j] * x[t].values[first + j];
      float& out = y[t * y_stride + r];
      out = first == 0 ? total : out + total;
    }
}

inline void halves_to_floats(const uint8_t* row, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(
        out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + 2 * i))));
  for (; i < n; ++i) out[i] = half_to_float(row + 2 * i);
}

inline __m256 brains_to_floats(__m128i brains) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(brains), 16));
}

// One token and 16-bit weights: straight from the file.
template <bool kBrain>
inline float dot_16(const uint8_t* row, const float* x, int64_t n) {
  const auto widen = [](const uint8_t* p) {
    const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return kBrain ? brains_to_floats(eight) : _mm256_cvtph_ps(eight);
  };
  __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    a = _mm256_fmadd_ps(widen(row + 2 * i), _mm256_loadu_ps(x + i), a);
    b = _mm256_fmadd_ps(widen(row + 2 * i + 16), _mm256_loadu_ps(x + i + 8), b);
    c = _mm256_fmadd_ps(widen(row + 2 * i + 32), _mm256_loadu_ps(x + i + 16), c);
    d = _mm256_fmadd_ps(widen(row + 2 * i + 48), _mm256_loadu_ps(x + i + 24), d);
  }
  float sum = sum8(_mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d)));
  for (; i < n; ++i) {
    uint16_t half;
    __builtin_memcpy(&half, row + 2 * i, 2);
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float value;
    __builtin_memcpy(&value, &bits, 4);
    sum += (kBrain ? value : _cvtsh_ss(half)) * x[i];
  }
  return sum;
}

template <int kRows>
inline void float_tiles(const float* w, int64_t w_stride, int64_t first, int64_t columns,
                        const PreparedRow* x, int64_t n_tokens, float* y, int64_t y_stride) {
  int64_t t = 0;
  for (; t + 4 <= n_tokens; t += 4)
    float_tile<kRows, 4>(w, w_stride, first, columns, x + t, y + t * y_stride, y_stride);
  for (; t < n_tokens; ++t)
    float_tile<kRows, 1>(w, w_stride, first, columns, x + t, y + t * y_stride, y_stride);
}

// Rows become floats a piece at a time: what fits the scratch twice, in whole blocks of any format.
constexpr int64_t kPiece = kKernelScratchFloats / 2;

void matmul_floats(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                   int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  const auto row_at = [&](int64_t r) { return w.data + static_cast<uint64_t>(r) * w.row_bytes; };
  if (n_tokens == 1 && (w.type == Type::F16 || w.type == Type::BF16)) {
    for (int64_t r = begin; r < end; ++r)
      y[r - begin] = w.type == Type::F16 ? dot_16<false>(row_at(r), x[0].values, w.columns)
                                         : dot_16<true>(row_at(r), x[0].values, w.columns);
    return;
  }
  const Codec* codec = find_codec(w.type);
  for (int64_t r = begin; r < end; r += 2) {
    const int64_t rows = end - r < 2 ? 1 : 2;
    float* out = y + r - begin;
    for (int64_t c = 0; c < w.columns; c += kPiece) {
      const int64_t n = w.columns - c < kPiece ? w.columns - c : kPiece;
      for (int64_t i = 0; i < rows; ++i) {
        const uint8_t* part = row_at(r + i) + codec->row_bytes(static_cast<uint64_t>(c));
        if (w.type == Type::F16)
          halves_to_floats(part, scratch + i * kPiece, n);
        else
          codec->decode(part, scratch + i * kPiece, static_cast<size_t>(n));
      }
      if (rows == 2)
        float_tiles<2>(scratch, kPiece, c, n, x, n_tokens, out, y_stride);
      else
        float_tiles<1>(scratch, kPiece, c, n, x, n_tokens, out, y_stride);
    }
  }
}

using MatmulRows = void (*)(const MatrixView&, int64_t, int64_t, const PreparedRow*, int64_t,
                            float*, int64_t, float*);

MatmulRows matmul_of(Type type) {
  switch (type) {
    case Type::Q4_0:
      return matmul_blocks<FormatQ4_0>;
    case Type::Q4_1:
      return matmul_blocks<FormatQ4_1>;
    case Type::Q5_0:
      return matmul_blocks<FormatQ5_0>;
    case Type::Q5_1:
      return matmul_blocks<FormatQ5_1>;
    case Type::Q8_0:
      return matmul_blocks<FormatQ8_0>;
    case Type::Q2_0:
      return matmul_blocks<FormatQ2_0>;
    case Type::Q2_K:
      return matmul_blocks<FormatQ2_K>;
    case Type::Q3_K:
      return matmul_blocks<FormatQ3_K>;
    case Type::Q4_K:
      return matmul_blocks<FormatQ4_K>;
    case Type::Q5_K:
      return matmul_blocks<FormatQ5_K>;
    case Type::Q6_K:
      return matmul_blocks<FormatQ6_K>;
    case Type::IQ4_NL:
      return matmul_blocks<FormatIQ4_NL>;
    case Type::IQ4_XS:
      return matmul_blocks<FormatIQ4_XS>;
    case Type::MXFP4:
      return matmul_blocks<FormatMXFP4>;
    default:
      return matmul_floats;
  }
}

bool reads_codes(Type type) { return matmul_of(type) != matmul_floats; }

void matmul_rows(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                 int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  matmul_of(w.type)(w, begin, end, x, n_tokens, y, y_stride, scratch);
}

// ---- the rest

void prepare_row(int64_t columns, const PreparedRow& row) {
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  for (int64_t b = 0; b < columns / 32; ++b) {
    const float* x = row.values + 32 * b;
    __m256 v[4];
    __m256 most = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_loadu_ps(x + 8 * i);
      most = _mm256_max_ps(_mm256_and_ps(v[i], magnitude), most);
    }
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    const float largest = _mm_cvtss_f32(m);
    const float scale = largest / 127.0f;
    const __m256 inverse = _mm256_set1_ps(largest > 0 ? 127.0f / largest : 0.0f);
    __m256i q[4];
    for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
    // Pack 4 x 8 integers to 32 bytes in order: the packs work within 128-bit lanes, the
    // permutation puts them right.
    const __m256i p =
        _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    const __m256i codes = _mm256_permutevar8x32_epi32(p, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row.codes + 32 * b), codes);
    const auto sum = [](__m256i a, __m256i c) {
      const __m256i s = _mm256_add_epi32(a, c);
      __m128i h = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
      h = _mm_add_epi32(h, _mm_shuffle_epi32(h, 0x4e));
      return _mm_cvtsi128_si32(_mm_add_epi32(h, _mm_shuffle_epi32(h, 0xb1)));
    };
    row.scales[b] = scale;
    row.sums[2 * b] = scale * static_cast<float>(sum(q[0], q[1]));
    row.sums[2 * b + 1] = scale * static_cast<float>(sum(q[2], q[3]));
  }
}

void rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* y) {
  const float mean = dot_floats(x, x, n) / static_cast<float>(n);
  const float scale = 1.0f / __builtin_sqrtf(mean + epsilon);
  const __m256 s = _mm256_set1_ps(scale);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), s),
                                          _mm256_loadu_ps(weight + i)));
  for (; i < n; ++i) y[i] = x[i] * scale * weight[i];
}

void add_row(const float* x, int64_t n, float* y) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
  for (; i < n; ++i) y[i] += x[i];
}

// e^x to a few units in the last place: 2^n * p(r), |r| <= ln 2 / 2, p the Taylor polynomial of
// degree 7.
inline __m256 exp8(__m256 x) {
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.3f)), _mm256_set1_ps(88.3f));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504088896341f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693145751953125f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(1.42860682030941723e-6f), r);
  __m256 p = _mm256_set1_ps(1.0f / 5040);
  for (float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
  const __m256i power =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

inline __m256 silu8(__m256 g) {
  const __m256 one = _mm256_set1_ps(1.0f);
  return _mm256_div_ps(g, _mm256_add_ps(one, exp8(_mm256_sub_ps(_mm256_setzero_ps(), g))));
}

// 0.5 (1 + tanh z) = 1 / (1 + e^(-2 z))
inline __m256 gelu8(__m256 g) {
  const __m256 square = _mm256_mul_ps(g, g);
  const __m256 inner = _mm256_fmadd_ps(square, _mm256_set1_ps(0.044715f), _mm256_set1_ps(1.0f));
  const __m256 z =
      _mm256_mul_ps(_mm256_mul_ps(g, inner), _mm256_set1_ps(-2.0f * 0.7978845608028654f));
  return _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(z)));
}

template <__m256 (*kGate)(__m256)>
void gate_mul(const float* gate, const float* up, int64_t n, float* y) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(y + i,
                     _mm256_mul_ps(kGate(_mm256_loadu_ps(gate + i)), _mm256_loadu_ps(up + i)));
  if (i == n) return;
  float g[8] = {}, u[8] = {};
  for (int64_t j = i; j < n; ++j) g[j - i] = gate[j], u[j - i] = up[j];
  _mm256_storeu_ps(g, _mm256_mul_ps(kGate(_mm256_loadu_ps(g)), _mm256_loadu_ps(u)));
  for (int64_t j = i; j < n; ++j) y[j] = g[j - i];
}

constexpr int64_t kAttendBlock = 64;  // positions whose scores are held at a time

void softmax(float* x, int64_t n) {
  float largest = x[0];
  for (int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  const __m256 base = _mm256_set1_ps(largest);
  __m256 sums = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), base));
    _mm256_storeu_ps(x + i, e);
    sums = _mm256_add_ps(sums, e);
  }
  float sum = sum8(sums);
  for (; i < n; ++i) {
    x[i] = _mm256_cvtss_f32(exp8(_mm256_set1_ps(x[i] - largest)));
    sum += x[i];
  }
  const float inverse = 1.0f / sum;
  for (i = 0; i < n; ++i) x[i] *= inverse;
}

void attend_head(const float* q, const uint16_t* k, const uint16_t* v, int64_t kv_stride,
                 int64_t begin, int64_t end, int64_t head_dim, float scale, float* out) {
  alignas(32) float scores[kAttendBlock];
  float largest = -3.0e38f, total = 0;
  for (int64_t i = 0; i < head_dim; ++i) out[i] = 0;
  if (begin >= end) return;
  for (int64_t at = begin; at < end; at += kAttendBlock) {
    const int64_t n = end - at < kAttendBlock ? end - at : kAttendBlock;
    float block_largest = largest;
    for (int64_t p = 0; p < n; ++p) {
      const auto* row = reinterpret_cast<const uint8_t*>(k + (at + p) * kv_stride);
      scores[p] = dot_16<false>(row, q, head_dim) * scale;
      block_largest = scores[p] > block_largest ? scores[p] : block_largest;
    }
    for (int64_t p = n; p % 8 != 0; ++p) scores[p] = -3.0e38f;
    const __m256 base = _mm256_set1_ps(block_largest);
    __m256 sum = _mm256_setzero_ps();
    for (int64_t p = 0; p < n; p += 8) {
      // Padding lies far below the clamp of exp8: cleared by hand.
      const __m256 s = _mm256_load_ps(scores + p);
      const __m256 real = _mm256_cmp_ps(s, _mm256_set1_ps(-2.9e38f), _CMP_GT_OQ);
      const __m256 e = _mm256_and_ps(exp8(_mm256_sub_ps(s, base)), real);
      _mm256_store_ps(scores + p, e);
      sum = _mm256_add_ps(sum, e);
    }
    const float shrink = sum8(exp8(_mm256_set1_ps(largest - block_largest))) / 8;
    const bool first = at == begin;
    total = (first ? 0 : total * shrink) + sum8(sum);
    largest = block_largest;
    int64_t i = 0;
    for (; i + 8 <= head_dim; i += 8) {
      __m256 a = first ? _mm256_setzero_ps()
                       : _mm256_mul_ps(_mm256_loadu_ps(out + i), _mm256_set1_ps(shrink));
      const uint16_t* column = v + at * kv_stride + i;
      for (int64_t p = 0; p < n; ++p) {
        const __m256 row = _mm256_cvtph_ps(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(column + p * kv_stride)));
        a = _mm256_fmadd_ps(_mm256_broadcast_ss(scores + p), row, a);
      }
      _mm256_storeu_ps(out + i, a);
    }
    for (; i < head_dim; ++i) {
      float a = first ? 0 : out[i] * shrink;
      for (int64_t p = 0; p < n; ++p) a += scores[p] * _cvtsh_ss(v[(at + p) * kv_stride + i]);
      out[i] = a;
    }
  }
  const float inverse = 1.0f / total;
  for (int64_t i = 0; i < head_dim; ++i) out[i] *= inverse;
}

void attend(const AttendQuery* queries, int64_t n_queries, const uint16_t* k, const uint16_t* v,
            int64_t kv_stride, int64_t head_dim, float scale, float*) {
  for (int64_t i = 0; i < n_queries; ++i) {
    const AttendQuery& a = queries[i];
    attend_head(a.q, k, v, kv_stride, a.begin, a.end, head_dim, scale, a.out);
  }
}

void floats_to_halves(const float* x, int64_t n, uint16_t* y) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; ++i) y[i] = _cvtss_sh(x[i], _MM_FROUND_TO_NEAREST_INT);
}

}  // namespace
}  // namespace enxuto

#define ENXUTO_X86_TABLE(name)                                                                     \
  {                                                                                                \
    .isa = name, .prepare = prepare_row, .reads_codes = reads_codes, .matmul_rows = matmul_rows,   \
    .rms_norm = rms_norm, .add = add_row, .silu_mul = gate_mul<silu8>,                             \
    .gelu_mul = gate_mul<gelu8>, .softmax = softmax, .attend = attend, .to_f16 = floats_to_halves, \
  }
