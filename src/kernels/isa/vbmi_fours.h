// Rows of small blocks with nibbles, four blocks at a time: one look-up over two loads (vpermt2b)
// collects their 64 bytes of codes, another their scales. What does not depend on the weights is
// done once for all rows: activations in the order of the nibbles, what a bias adds, scales spread
// over their lanes.
#pragma once

#include "kernels/generic/row_dot.h"
#include "kernels/isa/vbmi_spread.h"

namespace enxuto {
namespace {

// Of four blocks of activations. Lanes 4 k … 4 k + 3 belong to block k; blocks beyond the row are
// zeros.
struct alignas(64) FourBlocks {
  int8_t first[4][16], second[4][16];  // halves of the blocks
  __m512i start;                       // what is added up begins with: what the codes' bias adds
  __m512 scales, sums;                 // sums: in a block's first lane
};

inline int64_t n_fours(int64_t columns) { return (columns / 32 + 3) / 4; }
inline int64_t fours_floats(int64_t columns) {
  return n_fours(columns) * static_cast<int64_t>(sizeof(FourBlocks) / sizeof(float));
}

template <int kBias>
const FourBlocks* four_row(const PreparedRow& x, int64_t columns, float* memory) {
  auto* fours = reinterpret_cast<FourBlocks*>(memory);
  const int64_t n = n_fours(columns);
  for (int64_t i = 0; i < n; ++i) {
    FourBlocks& four = fours[i];
    float scales[16] = {}, sums[16] = {};
    for (int64_t k = 0; k < 4; ++k) {
      const int64_t block = 4 * i + k;
      const bool inside = block < columns / 32;
      const __m128i zero = _mm_setzero_si128();
      const auto half = [&](int64_t h) {
        const int8_t* from = x.codes + 32 * block + 16 * h;
        return inside ? load_16(reinterpret_cast<const uint8_t*>(from)) : zero;
      };
      _mm_store_si128(reinterpret_cast<__m128i*>(four.first[k]), half(0));
      _mm_store_si128(reinterpret_cast<__m128i*>(four.second[k]), half(1));
      for (int64_t lane = 4 * k; inside && lane < 4 * k + 4; ++lane) scales[lane] = x.scales[block];
      if (inside) sums[4 * k] = x.sums[2 * block] + x.sums[2 * block + 1];
    }
    four.scales = _mm512_loadu_ps(scales);
    four.sums = _mm512_loadu_ps(sums);
    const __m512i bias = _mm512_set1_epi8(static_cast<char>(kBias));
    __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), bias, _mm512_load_si512(four.first));
    dot = _mm512_dpbusd_epi32(dot, bias, _mm512_load_si512(four.second));
    four.start = _mm512_sub_epi32(_mm512_setzero_si512(), dot);
  }
  return fours;
}

// How four blocks of kBytes lie in two loads, of the first 64 bytes and of the last; codes are
// their last 16 bytes.
template <int kBytes>
struct FourBytes {
  static constexpr int kSecond = 4 * kBytes - 64;
  struct alignas(64) Words {
    uint16_t of[32];
  };
  static constexpr ByteOrder codes() {
    ByteOrder order = {};
    for (int i = 0; i < 64; ++i) {
      const int at = kBytes * (i / 16 + 1) - 16 + i % 16;
      order.of[i] = static_cast<uint8_t>(at < 64 ? at : 64 + at - kSecond);
    }
    return order;
  }
  static constexpr uint16_t word(int at) {
    return static_cast<uint16_t>(at < 64 ? at / 2 : 32 + (at - kSecond) / 2);
  }
  // The number at `at` of each block, in its four lanes.
  static constexpr Words numbers(int at) {
    Words order = {};
    for (int i = 0; i < 16; ++i) order.of[i] = word(kBytes * (i / 4) + at);
    return order;
  }
  // Fifth bits of the blocks' first halves, then of their second ones.
  static constexpr Words fifths() {
    Words order = {};
    for (int i = 0; i < 8; ++i) order.of[i] = word(kBytes * (i % 4) + kBytes - 20 + i / 4 * 2);
    return order;
  }
  static constexpr ByteOrder kCodes = codes();
  static constexpr Words kScales = numbers(0), kMinima = numbers(2), kFifths = fifths();

  __m512i first, second;

  explicit FourBytes(const uint8_t* b)
      : first(_mm512_loadu_si512(b)), second(_mm512_loadu_si512(b + kSecond)) {}
  // Of fewer than four, zeros beyond.
  FourBytes(const uint8_t* b, int n_blocks) {
    const auto bytes = [](int n) {
      return _bzhi_u64(~uint64_t{0}, static_cast<uint32_t>(n < 0 ? 0 : n > 64 ? 64 : n));
    };
    first = _mm512_maskz_loadu_epi8(bytes(n_blocks * kBytes), b);
    second = _mm512_maskz_loadu_epi8(bytes(n_blocks * kBytes - kSecond), b + kSecond);
  }
  __m512i words(const Words& order) const {
    return _mm512_permutex2var_epi16(first, _mm512_load_si512(order.of), second);
  }
  __m512 halves(const Words& order) const {
    return _mm512_cvtph_ps(_mm512_castsi512_si256(words(order)));
  }
  __m512i nibbles() const {
    return _mm512_permutex2var_epi8(first, _mm512_load_si512(kCodes.of), second);
  }
};

// Whether a format is of this kind.
template <class F>
inline constexpr bool kInFours =
    F::kType == Type::Q4_0 || F::kType == Type::Q4_1 || F::kType == Type::Q5_0 ||
    F::kType == Type::Q5_1 || F::kType == Type::IQ4_NL;

template <class F>
[[gnu::always_inline]] inline void add_four(const FourBytes<F::kBytes>& w, const FourBlocks& x,
                                            __m512& sum, __m512& offset) {
  using Bytes = FourBytes<F::kBytes>;
  const __m512i low = _mm512_set1_epi8(15), packed = w.nibbles();
  __m512i a = _mm512_and_si512(packed, low);
  __m512i b = _mm512_and_si512(_mm512_srli_epi16(packed, 4), low);
  if constexpr (F::kType == Type::IQ4_NL) {
    const __m512i levels = _mm512_broadcast_i32x4(load_16(generic::kIq4Unsigned.of));
    a = _mm512_shuffle_epi8(levels, a), b = _mm512_shuffle_epi8(levels, b);
  }
  if constexpr (F::kMax == 31) {
    const __m128i fifths = _mm512_castsi512_si128(w.words(Bytes::kFifths));
    const __m512i bit = _mm512_set1_epi8(16);
    a = _mm512_mask_add_epi8(a, static_cast<uint64_t>(_mm_cvtsi128_si64(fifths)), a, bit);
    b = _mm512_mask_add_epi8(b, static_cast<uint64_t>(_mm_extract_epi64(fifths, 1)), b, bit);
  }
  const __m512i dot = _mm512_dpbusd_epi32(
      _mm512_dpbusd_epi32(x.start, a, _mm512_load_si512(x.first)), b, _mm512_load_si512(x.second));
  const __m512 scale = _mm512_mul_ps(w.halves(Bytes::kScales), x.scales);
  sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, sum);
  if constexpr (F::kMin) offset = _mm512_fmadd_ps(w.halves(Bytes::kMinima), x.sums, offset);
}

template <class F>
float dot_in_fours(const uint8_t* w, int64_t columns, const FourBlocks* x) {
  constexpr int kFour = 4 * F::kBytes;
  __m512 sum = _mm512_setzero_ps(), offset = _mm512_setzero_ps();
  const int64_t n_blocks = columns / 32;
  for (int64_t i = 0; i < n_blocks / 4; ++i, w += kFour, ++x) {
    generic::ask_ahead<Avx512Vnni, kFour>(w);
    add_four<F>(FourBytes<F::kBytes>(w), *x, sum, offset);
  }
  if (const auto left = static_cast<int>(n_blocks % 4))
    add_four<F>(FourBytes<F::kBytes>(w, left), *x, sum, offset);
  return _mm512_reduce_add_ps(_mm512_add_ps(sum, offset));
}

}  // namespace
}  // namespace enxuto
