// NVFP4: 64 values in 36 bytes, four sub-blocks of 16.
//   4 scales, unsigned E4M3 | 4 × 8 bytes of E2M1 codes: low nibbles are values 0 … 7 of the
//   sub-block, high nibbles values 8 … 15
//   value = scale / 2 * kE2m1Values[code], whose values are doubled
#include <cmath>

#include "codecs/levels16.h"
#include "codecs/registry.h"

namespace enxuto {
namespace {

constexpr int kN = 64, kBytes = 36;

// Half of an E4M3 number with the sign bit ignored. 127, its NaN, counts as zero; 255 does not.
float half_scale(uint8_t code) {
  if (code == 127) return 0;
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-10f;
  return std::ldexp(static_cast<float>(8 + mantissa), exponent - 11);
}

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    for (int i = 0; i < 32; ++i) {
      const int sub = i / 8;
      const float scale = half_scale(b[sub]);
      float* pair = values + 16 * sub + i % 8;
      pair[0] = scale * static_cast<float>(kE2m1Values[b[4 + i] & 15]);
      pair[8] = scale * static_cast<float>(kE2m1Values[b[4 + i] >> 4]);
    }
  }
}

}  // namespace

const Codec kNVFP4 = {Type::NVFP4, "NVFP4", kN, kBytes, decode, nullptr};

}  // namespace enxuto
