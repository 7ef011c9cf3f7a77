// Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minima into 12 bytes:
//   byte s (s < 4): scale s, and above it the two high bits of scale s + 4; byte 4 + s: the same of
//   the minima; byte 8 + s: low nibbles of scale s + 4 and of minimum s + 4
#pragma once

#include <cstdint>

#include "codecs/registry.h"

namespace enxuto {

struct ScaleAndMin {
  int scale, min;
};

inline ScaleAndMin unpack_k4(const uint8_t* p, int s) {
  if (s < 4) return {p[s] & 63, p[s + 4] & 63};
  return {(p[s + 4] & 15) | (p[s - 4] >> 6) << 4, (p[s + 4] >> 4) | (p[s] >> 6) << 4};
}

inline void pack_k4(uint8_t* p, const int* scales, const int* mins) {
  for (int s = 0; s < 4; ++s) {
    p[s] = static_cast<uint8_t>(scales[s] | (scales[s + 4] >> 4) << 6);
    p[s + 4] = static_cast<uint8_t>(mins[s] | (mins[s + 4] >> 4) << 6);
    p[s + 8] = static_cast<uint8_t>((scales[s + 4] & 15) | (mins[s + 4] & 15) << 4);
  }
}

// Blocks that begin with d f16, dmin f16 and these.
inline void read_k4(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b), scales.low = -load_f16(b + 2);
  for (int s = 0; s < 8; ++s) {
    const auto [scale, min] = unpack_k4(b + 4, s);
    scales.a[s] = scale, scales.b[s] = min;
  }
}
inline void write_k4(const BlockScales& scales, uint8_t* b) {
  store_f16(b, scales.d), store_f16(b + 2, -scales.low);
  pack_k4(b + 4, scales.a, scales.b);
}

}  // namespace enxuto
