// The block formats as the kernels see them: how 32 weights become 32 bytes, and their scales.
//   value = scale * (code - kBias) - minimum
// Written over vector primitives V (isa/). Group g is values 32 g … 32 g + 31 of a block; a format
// has one scale per group or two (kScales). Layouts are drawn in codecs/.
#pragma once

#include <cstdint>

#include "codecs/codec.h"

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
    const auto codes = F::template codes<g>(b);
    if constexpr (kShift) return V::subtract_bytes(codes, V::all_bytes(-128));
    return codes;
  }
};

inline constexpr int8_t kIq4Table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};
// The same, 128 more.
struct UnsignedIq4 {
  uint8_t of[16];
  constexpr UnsignedIq4() : of{} {
    for (int i = 0; i < 16; ++i) of[i] = static_cast<uint8_t>(kIq4Table[i] + 128);
  }
};
inline constexpr UnsignedIq4 kIq4Unsigned;
inline constexpr int8_t kE2m1Table[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

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

inline uint32_t load_word(const uint8_t* b) {
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
    return V::look_up(V::both_halves(kIq4Table), V::split_nibbles(b + 2));
  }
  static auto scale(const uint8_t* b) { return V::broadcast_f16(b); }
  static Halves<V> two(const uint8_t* a, const uint8_t* b) {
    return look_up_two<V>(kIq4Table, a + 2, b + 2);
  }
  static auto two_scales(const uint8_t* a, const uint8_t* b) { return V::broadcast_two_f16(a, b); }
};

// 2^(e - 128): what a byte e says as MXFP4's scale, of the doubled codes of kE2m1Table.
struct Powers {
  float of[256];
  constexpr Powers() : of{} {
    for (uint32_t e = 0; e < 256; ++e)  // below 2^-126 subnormal
      of[e] = __builtin_bit_cast(float, e < 2 ? 0x00200000u << e : (e - 1u) << 23);
  }
};
inline constexpr Powers kPowers;

template <class V>
struct MXFP4 : Format<Type::MXFP4, 32, 17, 12, 0, false, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::look_up(V::both_halves(kE2m1Table), V::split_nibbles(b + 1));
  }
  static auto scale(const uint8_t* b) { return V::broadcast(kPowers.of + b[0]); }
  static Halves<V> two(const uint8_t* a, const uint8_t* b) {
    return look_up_two<V>(kE2m1Table, a + 1, b + 1);
  }
  static auto two_scales(const uint8_t* a, const uint8_t* b) {
    return V::two(kPowers.of[a[0]], kPowers.of[b[0]]);
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

// ---- Super-blocks of 256: scales() fills 8 or 16 of them in order, minima likewise. two_groups<g>
// are the codes of groups g and g + 1, unsigned, where V has vectors for them.

template <class V>
auto times_bytes(typename V::Floats unit, uint64_t bytes) {
  return V::multiply(unit, V::to_floats(V::u8_of(bytes)));
}

// Nibbles and pairs of bits, lowest first, to a byte each.
inline uint64_t spread_nibbles(uint64_t word) {
  word = (word | word << 16) & 0x0000ffff0000ffff;
  word = (word | word << 8) & 0x00ff00ff00ff00ff;
  return (word | word << 4) & 0x0f0f0f0f0f0f0f0f;
}
inline uint64_t spread_bit_pairs(uint64_t word) {
  word = (word | word << 24) & 0x000000ff000000ff;
  word = (word | word << 12) & 0x000f000f000f000f;
  return (word | word << 6) & 0x0303030303030303;
}

// Eight 6-bit scales and eight 6-bit minima in 12 bytes, as Q4_K and Q5_K have them.
template <class V>
void load_scales_k4(const uint8_t* b, typename V::Floats* scales, typename V::Floats* minima) {
  uint64_t words;  // four scales and four minima, with the high bits of the others
  __builtin_memcpy(&words, b + 4, 8);
  const uint64_t low = load_word(b + 12);
  const uint64_t first = words & 0x3f3f3f3f3f3f3f3f;
  const uint64_t second =
      (low & 0x0f0f0f0f) | (low >> 4 & 0x0f0f0f0f) << 32 | (words >> 2 & 0x3030303030303030);
  typename V::Floats d, dmin;
  V::broadcast_two_f16(b, d, dmin);
  *scales = times_bytes<V>(d, (first & 0xffffffff) | second << 32);
  *minima = times_bytes<V>(dmin, first >> 32 | (second & 0xffffffff00000000));
}

template <class V>
struct Q4_K : Format<Type::Q4_K, 256, 144, 15, 0, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::template field<4 * (g % 2)>(V::load_bytes(b + 16 + 32 * (g / 2)), 15);
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats* m) {
    load_scales_k4<V>(b, s, m);
  }
};

template <class V>
struct Q5_K : Format<Type::Q5_K, 256, 176, 31, 0, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    const auto low = V::template field<4 * (g % 2)>(V::load_bytes(b + 48 + 32 * (g / 2)), 15);
    return V::bit_or(low, V::template field<g - 4>(V::load_bytes(b + 16), 16));
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats* m) {
    load_scales_k4<V>(b, s, m);
  }
};

template <class V>
struct Q6_K : Format<Type::Q6_K, 256, 210, 63, 32, false, false, 2> {
  template <int g>
  static auto codes(const uint8_t* b) {
    constexpr int h = g / 4, j = g % 4;
    const auto low = V::template field<4 * (j / 2)>(V::load_bytes(b + 64 * h + 32 * (j % 2)), 15);
    return V::bit_or(low, V::template field<2 * j - 4>(V::load_bytes(b + 128 + 32 * h), 0x30));
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    const auto d = V::broadcast_f16(b + 208);
    for (int i = 0; i < 2; ++i) s[i] = V::multiply(d, V::to_floats(V::load_i8(b + 192 + 8 * i)));
  }
};

template <class V>
struct Q2_K : Format<Type::Q2_K, 256, 84, 3, 0, true, false, 2> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::template field<2 * (g % 4)>(V::load_bytes(b + 16 + 32 * (g / 4)), 3);
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats* m) {
    typename V::Floats d, dmin;
    V::broadcast_two_f16(b + 80, d, dmin);
    for (int i = 0; i < 2; ++i) {
      uint64_t both;
      __builtin_memcpy(&both, b + 8 * i, 8);
      s[i] = times_bytes<V>(d, both & 0x0f0f0f0f0f0f0f0f);
      m[i] = times_bytes<V>(dmin, both >> 4 & 0x0f0f0f0f0f0f0f0f);
    }
  }
};

template <class V>
struct Q3_K : Format<Type::Q3_K, 256, 110, 7, 4, false, false, 2> {
  template <int g>
  static auto codes(const uint8_t* b) {
    const auto low = V::template field<2 * (g % 4)>(V::load_bytes(b + 32 + 32 * (g / 4)), 3);
    return V::bit_or(low, V::template field<g - 2>(V::load_bytes(b), 4));
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    uint64_t low, bytes;
    uint32_t high;
    __builtin_memcpy(&low, b + 96, 8);
    __builtin_memcpy(&high, b + 104, 4);
    const auto d = V::broadcast_f16(b + 108);
    for (int i = 0; i < 2; ++i) {  // scales 8 i … 8 i + 7: their high bits at 4 i and 4 i + 2
      const uint64_t first = high >> 4 * i & 0x03030303, second = high >> (4 * i + 2) & 0x03030303;
      bytes = (low >> 4 * i & 0x0f0f0f0f0f0f0f0f) | (first | second << 32) << 4;
      const auto centred = V::subtract(V::to_floats(V::u8_of(bytes)), V::all(32));
      s[i] = V::multiply(d, centred);
    }
  }
};

template <class V>
struct IQ4_XS : Format<Type::IQ4_XS, 256, 136, 127, 0, false, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::look_up(V::both_halves(kIq4Table), V::split_nibbles(b + 8 + 16 * g));
  }
  template <int g>
  static auto two_groups(const uint8_t* b) {
    return V::look_up_nibbles(kIq4Unsigned.of, b + 8 + 16 * g);
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    const auto high = static_cast<uint64_t>(b[2] | b[3] << 8);
    const uint64_t bytes = spread_nibbles(load_word(b + 4)) | spread_bit_pairs(high) << 4;
    const auto centred = V::subtract(V::to_floats(V::u8_of(bytes)), V::all(32));
    *s = V::multiply(V::broadcast_f16(b), centred);
  }
};

}  // namespace enxuto::generic
