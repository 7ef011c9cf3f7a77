// The 16 levels of the 4-bit codebook formats as bytes, in the order of their codes. Facts of the
// formats: constant data, no code, so that kernels of any instruction set may read them.
#pragma once

#include <cstdint>

namespace enxuto {

// IQ4_NL, IQ4_XS.
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};
// MXFP4, NVFP4: E2M1 doubled.
inline constexpr int8_t kE2m1Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace enxuto
