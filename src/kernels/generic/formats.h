// The block formats as the kernels see them: how 32 weights become 32 bytes, and their scales.
//   value = scale * (code - kBias) - minimum
// Written over vector primitives V (isa/). Group g is values 32 g … 32 g + 31 of a block; a format
// has one scale per group or two (kScales). Layouts are drawn in codecs/.
#pragma once

#include <cstdint>

#include "codecs/codec.h"
#include "codecs/half_scales.h"
#include "codecs/level_values.h"
#include "kernels/generic/sparse.h"

namespace enxuto::generic {

// What is common to a format: codes in [0, kMax], or, where signed, in [-kMax, kMax].
template <Type kType_, int kValues_, int kBytes_, int kMax_, int kBias_, bool kMin_ = false,
          bool kSigned_ = false, int kScales_ = 1>
struct Format {
  static constexpr Type kType = kType_;
  static constexpr int kValues = kValues_, kBytes = kBytes_, kGroups = kValues_ / 32;
  static constexpr int kMax = kMax_, kBias = kBias_, kScales = kScales_;
  static constexpr bool kMin = kMin_, kSigned = kSigned_, kSuper = kValues_ == 256;
};

// The codes of a format that keeps signs apart; a bit of `signs` is a minus. A dot product negates
// the activations instead, and needs no signed weights.
template <class V>
struct Apart {
  typename V::Bytes magnitudes;
  uint32_t signs;
};
template <class F>
concept SignsApart = requires(const uint8_t* b) { F::template apart<0>(b); };

// Group g of a block.
template <class V, class F, int g>
[[gnu::always_inline]] inline typename V::Bytes codes_of(const uint8_t* b) {
  if constexpr (SignsApart<F>) {
    const auto weights = F::template apart<g>(b);
    return V::negate_where(weights.magnitudes, weights.signs);
  } else {
    return F::template codes<g>(b);
  }
}

// What a format's codes are to vectors V that may multiply unsigned ones only.
template <class V, class F>
struct Unsigned {
  static constexpr bool kShift = V::kUnsignedOnly && F::kSigned;  // by 128, to be unsigned
  static constexpr bool kSigned = F::kSigned && !V::kUnsignedOnly;
  static constexpr int kBias = kShift ? 128 : F::kBias;

  template <int g>
  [[gnu::always_inline]] static typename V::Bytes codes(const uint8_t* b) {
    const auto codes = codes_of<V, F, g>(b);
    if constexpr (kShift) return V::subtract_bytes(codes, V::all_bytes(-128));
    return codes;
  }
};

// kIq4Values, 128 more.
struct UnsignedIq4 {
  uint8_t of[16];
  constexpr UnsignedIq4() : of{} {
    for (int i = 0; i < 16; ++i) of[i] = static_cast<uint8_t>(kIq4Values[i] + 128);
  }
};
inline constexpr UnsignedIq4 kIq4Unsigned;

// ---- Blocks with one scale: scale() and minimum() are in all lanes.
// Those of nibbles can be unpacked two at a time, which takes fewer steps: the first 16 values of
// both, then the second 16. Scales of the first block are in the lower lanes.

template <class V>
struct Halves {
  typename V::Bytes first, second;
};

template <class V>
Halves<V> two_of_nibbles(const uint8_t* a, const uint8_t* b) {
  const auto both = V::load_halves(a, b);
  return {V::template field<0>(both, 15), V::template field<4>(both, 15)};
}

static inline uint32_t load_word(const uint8_t* b) {
  uint32_t word;
  __builtin_memcpy(&word, b, 4);
  return word;
}

// A fifth bit for each value, from a word of each block.
template <class V>
Halves<V> two_of_fifth_bits(const uint8_t* a, const uint8_t* b) {
  const uint32_t first = load_word(a), second = load_word(b);
  return {V::spread_bits((first & 0xffff) | second << 16, 16),
          V::spread_bits(first >> 16 | (second & 0xffff0000), 16)};
}

template <class V>
Halves<V> join(const Halves<V>& a, const Halves<V>& b) {
  return {V::bit_or(a.first, b.first), V::bit_or(a.second, b.second)};
}

template <class V>
Halves<V> look_up_two(const int8_t* table, const uint8_t* a, const uint8_t* b) {
  const auto entries = V::both_halves(table);
  const Halves<V> index = two_of_nibbles<V>(a, b);
  return {V::look_up(entries, index.first), V::look_up(entries, index.second)};
}

template <class V>
struct Q4_0 : Format<Type::Q4_0, 32, 18, 15, 8> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::split_nibbles(b + 2);
  }
  static auto scale(const uint8_t* b) { return V::broadcast_f16(b); }
  static Halves<V> two(const uint8_t* a, const uint8_t* b) {
    return two_of_nibbles<V>(a + 2, b + 2);
  }
  static auto two_scales(const uint8_t* a, const uint8_t* b) { return V::broadcast_two_f16(a, b); }
};

template <class V>
struct Q4_1 : Format<Type::Q4_1, 32, 20, 15, 0, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::split_nibbles(b + 4);
  }
  static void scale_and_offset(const uint8_t* b, typename V::Floats& s, typename V::Floats& m) {
    V::broadcast_two_f16(b, s, m);
  }
  static Halves<V> two(const uint8_t* a, const uint8_t* b) {
    return two_of_nibbles<V>(a + 4, b + 4);
  }
};

template <class V>
struct Q5_0 : Format<Type::Q5_0, 32, 22, 31, 16> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::bit_or(V::split_nibbles(b + 6), V::spread_bits(load_word(b + 2), 16));
  }
  static auto scale(const uint8_t* b) { return V::broadcast_f16(b); }
  static Halves<V> two(const uint8_t* a, const uint8_t* b) {
    return join(two_of_nibbles<V>(a + 6, b + 6), two_of_fifth_bits<V>(a + 2, b + 2));
  }
  static auto two_scales(const uint8_t* a, const uint8_t* b) { return V::broadcast_two_f16(a, b); }
};

template <class V>
struct Q5_1 : Format<Type::Q5_1, 32, 24, 31, 0, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::bit_or(V::split_nibbles(b + 8), V::spread_bits(load_word(b + 4), 16));
  }
  static void scale_and_offset(const uint8_t* b, typename V::Floats& s, typename V::Floats& m) {
    V::broadcast_two_f16(b, s, m);
  }
  static Halves<V> two(const uint8_t* a, const uint8_t* b) {
    return join(two_of_nibbles<V>(a + 8, b + 8), two_of_fifth_bits<V>(a + 4, b + 4));
  }
};

template <class V>
struct Q8_0 : Format<Type::Q8_0, 32, 34, 127, 0, false, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::load_bytes(b + 2);
  }
  static auto scale(const uint8_t* b) { return V::broadcast_f16(b); }
};

template <class V>
struct IQ4_NL : Format<Type::IQ4_NL, 32, 18, 127, 0, false, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::look_up(V::both_halves(kIq4Values), V::split_nibbles(b + 2));
  }
  static auto scale(const uint8_t* b) { return V::broadcast_f16(b); }
  static Halves<V> two(const uint8_t* a, const uint8_t* b) {
    return look_up_two<V>(kIq4Values, a + 2, b + 2);
  }
  static auto two_scales(const uint8_t* a, const uint8_t* b) { return V::broadcast_two_f16(a, b); }
};

template <class V>
struct MXFP4 : Format<Type::MXFP4, 32, 17, 12, 0, false, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::look_up(V::both_halves(kE2m1Values), V::split_nibbles(b + 1));
  }
  static auto scale(const uint8_t* b) { return V::broadcast(kHalfE8m0.of + b[0]); }
  static Halves<V> two(const uint8_t* a, const uint8_t* b) {
    return look_up_two<V>(kE2m1Values, a + 1, b + 1);
  }
  static auto two_scales(const uint8_t* a, const uint8_t* b) {
    return V::two(kHalfE8m0.of[a[0]], kHalfE8m0.of[b[0]]);
  }
};

template <class V>
struct Q2_0 : Format<Type::Q2_0, 64, 18, 3, 1> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::spread_pairs(b + 2 + 8 * g);
  }
  static auto scale(const uint8_t* b) { return V::broadcast_f16(b); }
};

template <class V>
struct Q1_0 : Format<Type::Q1_0, 128, 18, 2, 1> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::spread_bits(load_word(b + 2 + 4 * g), 2);
  }
  static auto scale(const uint8_t* b) { return V::broadcast_f16(b); }
};

template <class V>
struct NVFP4 : Format<Type::NVFP4, 64, 36, 12, 0, false, true, 2> {
  template <int g>
  static auto codes(const uint8_t* b) {
    constexpr uint64_t kNibbles = 0x0f0f0f0f0f0f0f0f;
    uint64_t sub[2];
    __builtin_memcpy(sub, b + 4 + 16 * g, sizeof sub);
    const auto index = V::four_longs(sub[0] & kNibbles, sub[0] >> 4 & kNibbles, sub[1] & kNibbles,
                                     sub[1] >> 4 & kNibbles);
    return V::look_up(V::both_halves(kE2m1Values), index);
  }
  template <int i>
  static float scale_of(const uint8_t* b) {
    return kHalfE4m3.of[b[i]];
  }
};

// ---- Blocks that hold some of their values only.

template <class V>
struct SQ8_0 : Format<Type::SQ8_0, 32, 22, 127, 0, false, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return expand<V>(V::both_halves(b + 6), load_word(b + 2));
  }
  static auto scale(const uint8_t* b) { return V::broadcast_f16(b); }
};

template <class V>
struct SQ4_NL : Format<Type::SQ4_NL, 32, 14, 127, 0, false, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    constexpr uint64_t kNibbles = 0x0f0f0f0f0f0f0f0f;
    uint64_t packed;
    __builtin_memcpy(&packed, b + 6, sizeof packed);
    const uint64_t low = packed & kNibbles, high = packed >> 4 & kNibbles;
    const auto index = V::four_longs(low, high, low, high);
    return expand<V>(V::look_up(V::both_halves(kIq4Values), index), load_word(b + 2));
  }
  static auto scale(const uint8_t* b) { return V::broadcast_f16(b); }
};

}  // namespace enxuto::generic
