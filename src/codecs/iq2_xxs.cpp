// IQ2_XXS: 256 values in 66 bytes, eight sub-blocks of 32.
//   d f16 | per sub-block: four point numbers u8, then a u32: 4 × 7 sign bits, scale in the top 4
//   value = d (scale + 1/2) / 4 * level, eight values a point, signs of even parity
#include "codecs/codebook.h"

namespace enxuto {
namespace {

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

struct Format : search::TopScales<6, 8> {
  using Points = search::Grid<kGridIq2Xxs, kIq2Levels, 8, 3, 32, true>;
  static constexpr int kBlockBytes = kBytes;
  static constexpr BlockShape kShape = search::codebook_shape<Points>(kEighthUnits);
  static constexpr float kWidest = 2.2f;

  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    uint8_t* sub = b + 2 + 8 * (e / 4);
    sub[e % 4] = static_cast<uint8_t>(points[0]);
    put_bits<uint32_t>(sub + 4, 7 * (e % 4), 7, signs & 127);
  }
};

}  // namespace

const Codec kIQ2_XXS = search::codebook_codec<Format>(Type::IQ2_XXS, "IQ2_XXS", decode);

}  // namespace enxuto
