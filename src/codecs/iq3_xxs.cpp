// IQ3_XXS: 256 values in 98 bytes, eight sub-blocks of 32.
//   d f16 | 64 point numbers u8 | 8 × u32: 4 × 7 sign bits, scale in the top 4
//   value = d (scale + 1/2) / 2 * level, four values a point, signs of even parity for each eight
#include "codecs/codebook.h"

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

struct Format : search::TopScales<66, 4> {
  using Points = search::Grid<kGridIq3Xxs, kIq3XxsLevels, 4, 8, 32, true>;
  static constexpr int kBlockBytes = kBytes;
  static constexpr BlockShape kShape = search::codebook_shape<Points>(kQuarterUnits);
  static constexpr float kWidest = 1.7f;

  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    for (int p : {0, 1}) b[2 + 2 * e + p] = static_cast<uint8_t>(points[p]);
    put_bits<uint32_t>(b + 66 + 4 * (e / 4), 7 * (e % 4), 7, signs & 127);
  }
};

}  // namespace

const Codec kIQ3_XXS = search::codebook_codec<Format>(Type::IQ3_XXS, "IQ3_XXS", decode);

}  // namespace enxuto
