// The points of the IQ codebooks as the kernels want them: a byte for each value, signs apart.
// Made of codecs/grids.h by the compiler.
#pragma once

#include <cstdint>

namespace enxuto {

struct CodebookTables {
  // Eight values a point; those of IQ1 are eight times what they stand for, so that their shift
  // is 1.
  uint64_t iq2_xxs[256], iq2_xs[512], iq2_s[1024], iq1[2048];
  uint32_t iq3_xxs[256], iq3_s[512];  // four values a point
  uint8_t even_signs[128];            // by the seven bits that are stored
};
extern const CodebookTables kCodebookTables;

}  // namespace enxuto
