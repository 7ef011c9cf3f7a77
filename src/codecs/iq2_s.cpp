// IQ2_S: 256 values in 82 bytes, sixteen sub-blocks of 16.
//   d f16 | 32 low bytes of point numbers | 32 bytes of signs | 8 bytes: two high bits of each
//   point number | 16 scales of 4 bits, low nibble first value = d (scale + 1/2) / 4 * level, eight
//   values a point
#include "codecs/codebook.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 82;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int p = 0; p < 32; ++p) {
      const int point = b[2 + p] | (b[66 + p / 4] >> 2 * (p % 4) & 3) << 8;
      const int code = b[74 + p / 4] >> 4 * (p / 2 % 2) & 15;
      const float scale = d * (0.5f + static_cast<float>(code)) * 0.25f;
      decode_point<8>(kGridIq2S[point], kIq2Levels, scale, b[34 + p], values + 8 * p);
    }
  }
}

struct Format : search::NibbleScales<74, 16> {
  using Points = search::Grid<kGridIq2S, kIq2Levels, 8, 3, 16, false>;
  static constexpr int kBlockBytes = kBytes;
  static constexpr BlockShape kShape = search::codebook_shape<Points>(kEighthUnits);
  static constexpr float kWidest = 2.2f;

  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    b[2 + e] = static_cast<uint8_t>(points[0]);
    b[34 + e] = static_cast<uint8_t>(signs);
    put_bits<uint8_t>(&b[66 + e / 4], 2 * (e % 4), 2, points[0] >> 8);
  }
};

}  // namespace

const Codec kIQ2_S = search::codebook_codec<Format>(Type::IQ2_S, "IQ2_S", decode);

}  // namespace enxuto
