// The formats of super-blocks of 256 as the kernels see them (formats.h): scales() fills 8 or 16 of
// them in order, minima likewise. two_groups<g> are the codes of groups g and g + 1, unsigned,
// where V has vectors for them.
#pragma once

#include "kernels/generic/formats.h"

namespace enxuto::generic {

template <class V>
auto times_bytes(typename V::Floats unit, uint64_t bytes) {
  return V::multiply(unit, V::to_floats(V::u8_of(bytes)));
}

// Nibbles and pairs of bits, lowest first, to a byte each.
static inline uint64_t spread_nibbles(uint64_t word) {
  word = (word | word << 16) & 0x0000ffff0000ffff;
  word = (word | word << 8) & 0x00ff00ff00ff00ff;
  return (word | word << 4) & 0x0f0f0f0f0f0f0f0f;
}
static inline uint64_t spread_bit_pairs(uint64_t word) {
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
    return V::look_up(V::both_halves(kIq4Values), V::split_nibbles(b + 8 + 16 * g));
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
