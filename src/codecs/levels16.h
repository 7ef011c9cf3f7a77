// The 16-level tables of the 4-bit codebook formats, and where each level's code lies.
#pragma once

#include <cstdint>

namespace enxuto {

// IQ4_NL, IQ4_XS: code = index.
inline constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};
// MXFP4 (and NVFP4): E2M1 doubled, rising; code 0 … 7 are 0 … 12, codes 8 … 15 their negatives (8:
// minus zero).
inline constexpr float kE2m1Levels[16] = {-12, -8, -6, -4, -3, -2, -1, 0, 0, 1, 2, 3, 4, 6, 8, 12};
inline constexpr int8_t kE2m1Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace enxuto
