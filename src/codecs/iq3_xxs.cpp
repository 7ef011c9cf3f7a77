// IQ3_XXS: 256 values in 98 bytes, eight sub-blocks of 32.
//   d f16 | 64 point numbers u8 | 8 × u32: 4 × 7 sign bits, scale in the top 4
//   value = d (scale + 1/2) / 2 * level, four values a point, signs of even parity for each eight
#include "codecs/codebook.h"

namespace enxuto {
namespace {

using Points = search::Grid<kGridIq3Xxs, kIq3XxsLevels, 4, 8, 32, true>;
using Walk = search::GridWalk<Points>;
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

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const auto block = search::load_signed<Points>(values, importance);
    if (importance) importance += kN;
    const auto fit = search::fit_codebook<Points>(block, 0.25f, 1.7f);
    store_f16(b, 4 * fit.d);
    for (int sub = 0; sub < 8; ++sub) {
      uint32_t packed = static_cast<uint32_t>(fit.scales[sub]) << 28;
      for (int e = 0; e < 4; ++e) {
        const int eight = 4 * sub + e;
        for (int p = 0; p < 2; ++p)
          b[2 + 2 * eight + p] = static_cast<uint8_t>(Walk::index_of(fit.numbers[eight][p]));
        const uint32_t signs = search::stored_signs<Points>(block, eight, fit.numbers[eight]);
        packed |= (signs & 127) << 7 * e;
      }
      store_u32(b + 66 + 4 * sub, packed);
    }
  }
}

}  // namespace

const Codec kIQ3_XXS = {Type::IQ3_XXS, "IQ3_XXS", kN, kBytes, decode, encode};

}  // namespace enxuto
