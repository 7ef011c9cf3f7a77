// IQ2_XS: 256 values in 74 bytes, sixteen sub-blocks of 16.
//   d f16 | 32 × u16: point number in 9 bits, then 7 sign bits | 16 scales of 4 bits, low nibble
//   first
//   value = d (scale + 1/2) / 4 * level, eight values a point, signs of even parity
#include "codecs/codebook.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 74;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int p = 0; p < 32; ++p) {
      const uint32_t packed = load_u16(b + 2 + 2 * p);
      const int code = b[66 + p / 4] >> 4 * (p / 2 % 2) & 15;
      const float scale = d * (0.5f + static_cast<float>(code)) * 0.25f;
      decode_point<8>(kGridIq2Xs[packed & 511], kIq2Levels, scale, even_signs(packed >> 9),
                      values + 8 * p);
    }
  }
}

struct Format : search::NibbleScales<66, 16> {
  using Points = search::Grid<kGridIq2Xs, kIq2Levels, 8, 3, 16, true>;
  static constexpr int kBlockBytes = kBytes;
  static constexpr BlockShape kShape = search::codebook_shape<Points>(kEighthUnits);
  static constexpr float kWidest = 2.2f;

  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    store_u16(b + 2 + 2 * e, static_cast<uint16_t>(points[0] | (signs & 127) << 9));
  }
};

}  // namespace

const Codec kIQ2_XS = search::codebook_codec<Format>(Type::IQ2_XS, "IQ2_XS", decode);

}  // namespace enxuto
