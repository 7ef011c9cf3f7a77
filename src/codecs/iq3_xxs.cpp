// IQ3_XXS: 256 values in 98 bytes, eight sub-blocks of 32.
//   d f16 | 64 point numbers u8 | 8 × u32: 4 × 7 sign bits, scale in the top 4
//   value = d (scale + 1/2) / 2 * level, four values a point, signs of even parity for each eight
#include "codecs/grids.h"
#include "codecs/registry.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 98;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int p = 0; p < 64; ++p) {
      const uint32_t packed = load_u32(b + 66 + 4 * (p / 8));
      const float scale = d * (0.5f + static_cast<float>(packed >> 28)) * 0.5f;
      const uint32_t signs = even_signs(packed >> 7 * (p / 2 % 4) & 127);
      decode_point<4>(kGridIq3Xxs[b[2 + p]], kIq3XxsLevels, scale, signs >> 4 * (p % 2),
                      values + 4 * p);
    }
  }
}

}  // namespace

const Codec kIQ3_XXS = {Type::IQ3_XXS, "IQ3_XXS", kN, kBytes, decode, nullptr};

}  // namespace enxuto
