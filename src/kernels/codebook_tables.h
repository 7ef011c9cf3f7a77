// The points of the IQ codebooks as the kernels want them: a byte for each value, signs apart.
// Made of codecs/grids.h by the compiler.
#pragma once

#include <cstddef>
#include <cstdint>

namespace enxuto {

// A byte of each point as it is packed, then the other; for look-ups of 64 bytes at once.
template <size_t kPoints>
struct alignas(64) PackedPoints {
  uint8_t low[kPoints], high[kPoints];
};

struct CodebookTables {
  // Eight values a point; those of IQ1 are eight times what they stand for, so that their shift
  // is 1.
  uint64_t iq2_xxs[256], iq2_xs[512], iq2_s[1024], iq1[2048];
  uint32_t iq3_xxs[256], iq3_s[512];  // four values a point
  uint8_t even_signs[128];            // by the seven bits that are stored

  PackedPoints<256> packed_iq2_xxs, packed_iq3_xxs;
  PackedPoints<512> packed_iq2_xs, packed_iq3_s;
  PackedPoints<1024> packed_iq2_s;
  alignas(16) uint8_t levels_iq2[16], levels_iq3_xxs[16], levels_iq3_s[16];
};
extern const CodebookTables kCodebookTables;

}  // namespace enxuto
