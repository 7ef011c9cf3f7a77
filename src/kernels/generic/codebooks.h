// The codebook formats as the kernels see them (formats.h): points of a grid, looked up as bytes
// that all have the sign or the shift of their own. One grid is at most 16 KiB.
#pragma once

#include "kernels/codebook_tables.h"
#include "kernels/generic/super_blocks.h"

namespace enxuto::generic {

// Four times seven bits, each with the eighth that makes the minuses even.
static inline uint32_t even_signs_of(uint32_t packed) {
  const uint8_t* table = kCodebookTables.even_signs;
  return table[packed & 127] | uint32_t{table[packed >> 7 & 127]} << 8 |
         uint32_t{table[packed >> 14 & 127]} << 16 | uint32_t{table[packed >> 21 & 127]} << 24;
}

// Bytes c -> 2 c + 1
static inline uint64_t odd_of(uint64_t bytes) { return 2 * bytes + 0x0101010101010101; }
// The same of eight nibbles, low ones first.
static inline uint64_t odd_of_nibbles(const uint8_t* b) {
  return odd_of(spread_nibbles(load_word(b)));
}
// Of the top nibbles of eight words, kEvery bytes apart.
template <int kEvery>
static inline uint64_t odd_of_tops(const uint8_t* words) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i)
    v |= uint64_t{static_cast<uint8_t>(words[kEvery * i + 3] >> 4)} << 8 * i;
  return odd_of(v);
}

template <class V>
auto unit_of(const uint8_t* d, float unit) {
  return V::multiply(V::broadcast_f16(d), V::all(unit));
}

// Eight points of four values, by index(i). One by one: a gather is slower where it is microcode.
// Inline everywhere (as are those that use it): a call takes a quarter of the speed.
template <class V, class Index>
[[gnu::always_inline]] inline auto look_up_eight(const uint32_t* table, const Index& index) {
  uint64_t pairs[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    pairs[i] = table[index(2 * i)] | uint64_t{table[index(2 * i + 1)]} << 32;
  return V::four_longs(pairs[0], pairs[1], pairs[2], pairs[3]);
}

template <class V>
struct IQ3_S : Format<Type::IQ3_S, 256, 110, 15, 0, false, true> {
  template <int g>
  [[gnu::always_inline]] static Apart<V> apart(const uint8_t* b) {
    const uint8_t* low = b + 2 + 8 * g;
    const uint32_t high = b[66 + g];
    const auto points = look_up_eight<V>(kCodebookTables.iq3_s,
                                         [&](int i) { return low[i] | (high << (8 - i) & 256); });
    return {points, load_word(b + 74 + 4 * g)};
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    *s = times_bytes<V>(V::broadcast_f16(b), odd_of_nibbles(b + 106));
  }
};

template <class V>
struct IQ3_XXS : Format<Type::IQ3_XXS, 256, 98, 62, 0, false, true> {
  template <int g>
  [[gnu::always_inline]] static Apart<V> apart(const uint8_t* b) {
    const uint8_t* p = b + 2 + 8 * g;
    return {look_up_eight<V>(kCodebookTables.iq3_xxs, [&](int i) { return p[i]; }),
            even_signs_of(load_word(b + 66 + 4 * g))};
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    *s = times_bytes<V>(unit_of<V>(b, 0.25f), odd_of_tops<4>(b + 66));
  }
};

// Four points of eight values.
template <class V>
[[gnu::always_inline]] inline auto look_up_four(const uint64_t* table, uint32_t a, uint32_t b,
                                                uint32_t c, uint32_t d) {
  return V::four_longs(table[a], table[b], table[c], table[d]);
}

template <class V>
struct IQ2_XXS : Format<Type::IQ2_XXS, 256, 66, 43, 0, false, true> {
  template <int g>
  [[gnu::always_inline]] static Apart<V> apart(const uint8_t* b) {
    const uint8_t* p = b + 2 + 8 * g;
    return {look_up_four<V>(kCodebookTables.iq2_xxs, p[0], p[1], p[2], p[3]),
            even_signs_of(load_word(p + 4))};
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    *s = times_bytes<V>(unit_of<V>(b, 0.125f), odd_of_tops<8>(b + 6));
  }
};

// Sixteen scales of four bits.
template <class V>
void load_scales_iq2(const uint8_t* d, const uint8_t* nibbles, typename V::Floats* s) {
  const auto unit = unit_of<V>(d, 0.125f);
  for (int i = 0; i < 2; ++i) s[i] = times_bytes<V>(unit, odd_of_nibbles(nibbles + 4 * i));
}

template <class V>
struct IQ2_XS : Format<Type::IQ2_XS, 256, 74, 43, 0, false, true, 2> {
  template <int g>
  [[gnu::always_inline]] static Apart<V> apart(const uint8_t* b) {
    uint16_t p[4];
    __builtin_memcpy(p, b + 2 + 8 * g, sizeof p);
    const uint32_t signs = p[0] >> 9 | uint32_t{p[1]} >> 9 << 7 | uint32_t{p[2]} >> 9 << 14 |
                           uint32_t{p[3]} >> 9 << 21;
    return {look_up_four<V>(kCodebookTables.iq2_xs, p[0] & 511, p[1] & 511, p[2] & 511, p[3] & 511),
            even_signs_of(signs)};
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    load_scales_iq2<V>(b, b + 66, s);
  }
};

template <class V>
struct IQ2_S : Format<Type::IQ2_S, 256, 82, 43, 0, false, true, 2> {
  template <int g>
  [[gnu::always_inline]] static Apart<V> apart(const uint8_t* b) {
    const uint8_t* low = b + 2 + 4 * g;
    const uint32_t high = b[66 + g];
    return {look_up_four<V>(kCodebookTables.iq2_s, low[0] | (high << 8 & 0x300),
                            low[1] | (high << 6 & 0x300), low[2] | (high << 4 & 0x300),
                            low[3] | (high << 2 & 0x300)),
            load_word(b + 34 + 4 * g)};
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    load_scales_iq2<V>(b, b + 74, s);
  }
};

// IQ1: eight times the value is 8 level + 1 or, where the shift is down, 8 level - 1.
template <class V>
struct IQ1_S : Format<Type::IQ1_S, 256, 50, 9, 0, false, true> {
  template <int g>
  static auto codes(const uint8_t* b) {
    const uint8_t* low = b + 2 + 4 * g;
    uint16_t high;
    __builtin_memcpy(&high, b + 34 + 2 * g, sizeof high);
    const auto points = look_up_four<V>(kCodebookTables.iq1, low[0] | (high << 8 & 0x700),
                                        low[1] | (high << 5 & 0x700), low[2] | (high << 2 & 0x700),
                                        low[3] | (high >> 1 & 0x700));
    return V::subtract_bytes(points, V::all_bytes(high >> 15 ? 1 : -1));
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    uint64_t v = 0;
    for (int i = 0; i < 8; ++i) v |= uint64_t{b[35 + 2 * i] >> 4 & 7u} << 8 * i;
    *s = times_bytes<V>(unit_of<V>(b, 0.125f), odd_of(v));
  }
};

template <class V>
struct IQ1_M : Format<Type::IQ1_M, 256, 56, 9, 0, false, true, 2> {
  template <int g>
  static auto codes(const uint8_t* b) {
    const uint8_t* low = b + 4 * g;
    const uint32_t high = b[32 + 2 * g] | b[33 + 2 * g] << 8;
    const auto points = look_up_four<V>(kCodebookTables.iq1, low[0] | (high << 8 & 0x700),
                                        low[1] | (high << 4 & 0x700), low[2] | (high & 0x700),
                                        low[3] | (high >> 4 & 0x700));
    const auto shift = [&](int bit) {
      return high >> bit & 1 ? 0x0101010101010101 : 0xffffffffffffffff;
    };
    return V::subtract_bytes(points, V::four_longs(shift(3), shift(7), shift(11), shift(15)));
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    uint16_t words[4], d = 0;
    __builtin_memcpy(words, b + 48, sizeof words);
    for (int k = 0; k < 4; ++k) d |= static_cast<uint16_t>(words[k] >> 12 << 4 * k);
    const auto unit = unit_of<V>(reinterpret_cast<const uint8_t*>(&d), 0.125f);
    for (int i = 0; i < 2; ++i) {
      uint64_t v = 0;
      for (int j = 0; j < 8; ++j) v |= uint64_t{words[2 * i + j / 4] >> 3 * (j % 4) & 7u} << 8 * j;
      s[i] = times_bytes<V>(unit, odd_of(v));
    }
  }
};

template <class V>
struct TQ2_0 : Format<Type::TQ2_0, 256, 66, 3, 1> {
  template <int g>
  static auto codes(const uint8_t* b) {
    return V::template field<2 * (g % 4)>(V::load_bytes(b + 32 * (g / 4)), 3);
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    *s = V::broadcast_f16(b + 64);
  }
};

// Five digits of base three in a byte, which is a fraction of 256: digit j is the whole part of
// three times what is left after j multiplications by three.
template <class V>
struct TQ1_0 : Format<Type::TQ1_0, 256, 54, 2, 1> {
  template <int times>
  static auto times_three(typename V::Bytes x) {
#pragma GCC unroll 4
    for (int i = 0; i < times; ++i) x = V::add_bytes(x, V::add_bytes(x, x));
    return x;
  }
  template <int g>
  static auto codes(const uint8_t* b) {
    if constexpr (g < 5) {  // digit g of 32 bytes
      return V::whole_thirds(times_three<g>(V::load_bytes(b)));
    } else {  // two digits of 16 bytes; at last one, then four of four bytes
      const auto first = times_three<2 * (g - 5)>(V::both_halves(b + 32));
      auto second = times_three<1>(first);
      if constexpr (g == 7) {
        uint64_t digits[2] = {load_word(b + 48), 0};
        digits[0] |= times_three_in(digits[0]) << 32;
        digits[1] = times_three_in(times_three_in(digits[0]));
        second = V::both_halves(digits);
      }
      return V::whole_thirds(V::first_halves(first, second));
    }
  }
  // Of eight bytes, each modulo 256.
  static uint64_t times_three_in(uint64_t bytes) {
    constexpr uint64_t kEven = 0x00ff00ff00ff00ff;
    return ((bytes & kEven) * 3 & kEven) | ((bytes >> 8 & kEven) * 3 & kEven) << 8;
  }
  static void scales(const uint8_t* b, typename V::Floats* s, typename V::Floats*) {
    *s = V::broadcast_f16(b + 52);
  }
};

}  // namespace enxuto::generic
