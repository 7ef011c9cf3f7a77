// Blocks of 32 weights that hold 16 of them at most (codecs/sparse_block.h): stored values go to
// their bits' places, zeros elsewhere; bytes in one instruction where V has it.
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

// The same places as bytes of f16, for a shuffle; beyond its sixteen bytes where a bit is not set.
struct SparseOrders {
  alignas(64) uint8_t of[256][16];
  constexpr SparseOrders() : of{} {
    for (int bits = 0; bits < 256; ++bits)
      for (int i = 0, n = 0; i < 8; n += bits >> i++ & 1)
        for (int byte = 0; byte < 2; ++byte)
          of[bits][2 * i + byte] = static_cast<uint8_t>(bits >> i & 1 ? 2 * n + byte : 128);
  }
};
inline constexpr SparseOrders kSparseOrders;

// f16 from p on -> 32 floats. Bytes are read up to 48 behind p, whatever the bitmap. Each eight
// places take what lies before them in memory: faster than vpexpandw or vpexpandps, by half.
template <class V>
[[gnu::always_inline]] inline void expand_halves(const uint8_t* p, uint32_t bitmap,
                                                 typename V::Floats (&values)[4]) {
  const auto count = [](uint32_t bits) { return static_cast<uint32_t>(__builtin_popcount(bits)); };
  if (count(bitmap) > 16) [[unlikely]] {
    while (count(bitmap) > 16) bitmap &= ~(0x80000000u >> __builtin_clz(bitmap));
  }
  uint32_t below = 0;
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) {
    const uint8_t* from = p + 2 * count(bitmap & below);
    values[q] = V::load_f16_by(from, kSparseOrders.of[bitmap >> 8 * q & 255]);
    below = below << 8 | 255;
  }
}

}  // namespace enxuto::generic
