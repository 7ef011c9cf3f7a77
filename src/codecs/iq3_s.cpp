// IQ3_S: 256 values in 110 bytes, eight sub-blocks of 32.
//   d f16 | 64 low bytes of point numbers | 8 bytes: their high bits | 32 bytes of signs | 8 scales
//   of 4 bits, low nibble first
//   value = d (2 scale + 1) * level, four values a point
#include "codecs/codebook.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 110;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int p = 0; p < 64; ++p) {
      const int point = b[2 + p] | (b[66 + p / 8] >> p % 8 & 1) << 8;
      const int code = b[106 + p / 16] >> 4 * (p / 8 % 2) & 15;
      const float scale = d * static_cast<float>(2 * code + 1);
      decode_point<4>(kGridIq3S[point], kIq3SLevels, scale,
                      static_cast<uint32_t>(b[74 + p / 2]) >> 4 * (p % 2), values + 4 * p);
    }
  }
}

struct Format : search::NibbleScales<106, 8> {
  using Points = search::Grid<kGridIq3S, kIq3SLevels, 4, 8, 32, false>;
  static constexpr int kBlockBytes = kBytes;
  static constexpr BlockShape kShape = search::codebook_shape<Points>(kWholeUnits);
  static constexpr float kWidest = 1.7f;

  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    for (int p = 2 * e; p < 2 * e + 2; ++p) {
      const int point = points[p % 2];
      b[2 + p] = static_cast<uint8_t>(point);
      put_bits<uint8_t>(&b[66 + p / 8], p % 8, 1, point >> 8);
    }
    b[74 + e] = static_cast<uint8_t>(signs);
  }
};

}  // namespace

const Codec kIQ3_S = search::codebook_codec<Format>(Type::IQ3_S, "IQ3_S", decode);

}  // namespace enxuto
