// IQ2_XXS: 256 values in 66 bytes, eight sub-blocks of 32.
//   d f16 | per sub-block: four point numbers u8, then a u32: 4 × 7 sign bits, scale in the top 4
//   value = d (scale + 1/2) / 4 * level, eight values a point, signs of even parity
#include "codecs/codebook.h"

namespace enxuto {
namespace {

using Points = search::Grid<kGridIq2Xxs, kIq2Levels, 8, 3, 32, true>;
using Walk = search::GridWalk<Points>;
constexpr int kN = 256, kBytes = 66;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int sub = 0; sub < 8; ++sub) {
      const uint8_t* points = b + 2 + 8 * sub;
      const uint32_t packed = load_u32(points + 4);
      const float scale = d * (0.5f + static_cast<float>(packed >> 28)) * 0.25f;
      for (int p = 0; p < 4; ++p)
        decode_point<8>(kGridIq2Xxs[points[p]], kIq2Levels, scale,
                        even_signs(packed >> 7 * p & 127), values + 32 * sub + 8 * p);
    }
  }
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const auto block = search::load_signed<Points>(values, importance);
    if (importance) importance += kN;
    const auto fit = search::fit_codebook<Points>(block, 0.125f, 2.2f);
    store_f16(b, 8 * fit.d);
    for (int sub = 0; sub < 8; ++sub) {
      uint8_t* points = b + 2 + 8 * sub;
      uint32_t packed = static_cast<uint32_t>(fit.scales[sub]) << 28;
      for (int p = 0; p < 4; ++p) {
        const int* numbers = fit.numbers[4 * sub + p];
        points[p] = static_cast<uint8_t>(Walk::index_of(numbers[0]));
        const uint32_t signs = search::stored_signs<Points>(block, 4 * sub + p, numbers);
        packed |= (signs & 127) << 7 * p;
      }
      store_u32(points + 4, packed);
    }
  }
}

}  // namespace

const Codec kIQ2_XXS = {Type::IQ2_XXS, "IQ2_XXS", kN, kBytes, decode, encode};

}  // namespace enxuto
