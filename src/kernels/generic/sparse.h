// Blocks of 32 weights that hold 16 of them at most (codecs/sparse_block.h): stored values go to
// their bits' places, zeros elsewhere. In one instruction where V has it; else by looking them up,
// eight places at a time.
#pragma once

#include <cstdint>

namespace enxuto::generic {

// Of the eight places of a byte of a bitmap: the number among those that are set, or 16.
struct SparsePlaces {
  uint64_t of[256];
  constexpr SparsePlaces() : of{} {
    for (int bits = 0; bits < 256; ++bits)
      for (int i = 0, n = 0; i < 8; ++i)
        of[bits] |= static_cast<uint64_t>(bits >> i & 1 ? n++ : 16) << 8 * i;
  }
};
inline constexpr SparsePlaces kSparsePlaces;

// Byte q: how many bits of the bitmap are set below bit 8 q.
static inline uint32_t bits_before(uint32_t bitmap) {
  uint32_t n = bitmap - (bitmap >> 1 & 0x55555555);
  n = (n & 0x33333333) + (n >> 2 & 0x33333333);
  return ((n + (n >> 4)) & 0x0f0f0f0fu) * 0x01010100u;
}

// sixteen: 16 bytes, twice.
template <class V>
[[gnu::always_inline]] inline typename V::Bytes expand(typename V::Bytes sixteen, uint32_t bitmap) {
  if constexpr (requires { V::expand_bytes(sixteen, bitmap); }) {
    return V::expand_bytes(sixteen, bitmap);
  } else {
    const auto& places = kSparsePlaces.of;
    const auto within = V::four_longs(places[bitmap & 255], places[bitmap >> 8 & 255],
                                      places[bitmap >> 16 & 255], places[bitmap >> 24]);
    const auto before = V::spread_bytes(bits_before(bitmap));
    return V::look_up_or_zero(sixteen, V::add_bytes(within, before));
  }
}

// Sixteen f16 from p on -> 32 floats.
template <class V>
[[gnu::always_inline]] inline void expand_halves(const uint8_t* p, uint32_t bitmap,
                                                 typename V::Floats (&values)[4]) {
  if constexpr (requires { V::expand_halves(p, bitmap, values); }) {
    V::expand_halves(p, bitmap, values);
  } else {
    const uint32_t before = bits_before(bitmap);
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      // Nothing is read beyond the sixteenth: of the later ones the last eight are, and counted on.
      const uint32_t n = before >> 8 * q & 255, from = n < 8 ? n : 8;
      const uint64_t places = kSparsePlaces.of[bitmap >> 8 * q & 255];
      values[q] = V::load_f16_at(p + 2 * from, places + (n - from) * 0x0101010101010101);
    }
  }
}

}  // namespace enxuto::generic
