// IQ1_M: 256 values in 56 bytes, sixteen sub-blocks of 16.
//   32 low bytes of point numbers | 32 nibbles: three high bits, then bit 3: the shift is down |
//   4 × u16: 4 × 3 scale bits, and a nibble of d f16 in the top, lowest nibble first
//   value = d (2 scale + 1) * (level ± 1/8), level in {-1, 0, 1}, eight values a point
#include "codecs/codebook.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 56;

float block_scale(const uint8_t* scales) {
  int half = 0;
  for (int k = 0; k < 4; ++k) half |= scales[2 * k + 1] >> 4 << 4 * k;
  return f16_to_f32(static_cast<uint16_t>(half));
}

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = block_scale(b + 48);
    for (int p = 0; p < 32; ++p) {
      const int nibble = b[32 + p / 2] >> 4 * (p % 2);
      const int point = b[p] | (nibble & 7) << 8;
      const int code = load_u16(b + 48 + 2 * (p / 8)) >> 3 * (p / 2 % 4) & 7;
      const float scale = d * static_cast<float>(2 * code + 1);
      decode_iq1_point(kGridIq1[point], scale, nibble & 8, values + 8 * p);
    }
  }
}

struct Format {
  using Points = search::Grid<kGridIq1, kIq1Levels, 8, 3, 16, false, 8, 8>;
  static constexpr int kBlockBytes = kBytes;
  static constexpr BlockShape kShape = search::codebook_shape<Points>(kWholeUnits);
  static constexpr float kWidest = 3.5f;

  static void read_scales(const uint8_t* b, BlockScales& scales) {
    scales.d = block_scale(b + 48);
    for (int s = 0; s < 16; ++s) scales.a[s] = load_u16(b + 48 + 2 * (s / 4)) >> 3 * (s % 4) & 7;
  }
  static void write_scales(const BlockScales& scales, uint8_t* b) {
    uint8_t d[2];
    store_f16(d, scales.d);
    for (int k = 0; k < 4; ++k) {
      int packed = (load_u16(d) >> 4 * k & 15) << 12;
      for (int s = 0; s < 4; ++s) packed |= scales.a[4 * k + s] << 3 * s;
      store_u16(b + 48 + 2 * k, static_cast<uint16_t>(packed));
    }
  }
  static void store(uint8_t* b, int e, const int* points, int, bool down) {
    b[e] = static_cast<uint8_t>(points[0]);
    put_bits<uint8_t>(&b[32 + e / 2], 4 * (e % 2), 4, points[0] >> 8 | down << 3);
  }
  static bool down(const uint8_t* b, int e) { return b[32 + e / 2] >> 4 * (e % 2) & 8; }
};

}  // namespace

const Codec kIQ1_M = search::codebook_codec<Format>(Type::IQ1_M, "IQ1_M", decode);

}  // namespace enxuto
