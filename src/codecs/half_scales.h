// What a byte says as the scale of MXFP4 (E8M0) and of NVFP4 (E4M3), halved, since the levels of
// E2M1 are kept doubled. Facts of the formats (OCP microscaling): constant data, no code.
#pragma once

#include <bit>
#include <cstdint>

namespace enxuto {

// 2^(e - 128); below 2^-126 subnormal.
struct HalfE8m0 {
  float of[256];
  constexpr HalfE8m0() : of{} {
    for (uint32_t e = 0; e < 256; ++e)
      of[e] = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);
  }
};
inline constexpr HalfE8m0 kHalfE8m0;

// The sign bit is ignored. 127, the NaN, counts as zero; 255 does not.
struct HalfE4m3 {
  float of[256];
  constexpr HalfE4m3() : of{} {
    for (int code = 0; code < 256; ++code) {
      const int exponent = code >> 3 & 15, mantissa = code & 7;
      of[code] = static_cast<float>(exponent == 0 ? mantissa : 8 + mantissa) * 0x1p-10f;
      for (int e = 1; e < exponent; ++e) of[code] *= 2;
    }
    of[127] = 0;
  }
};
inline constexpr HalfE4m3 kHalfE4m3;

}  // namespace enxuto
