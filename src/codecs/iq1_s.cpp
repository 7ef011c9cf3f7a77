// IQ1_S: 256 values in 50 bytes, eight sub-blocks of 32.
//   d f16 | 32 low bytes of point numbers | 8 × u16: 4 × 3 high bits of point numbers, scale in
//   bits 12 … 14, bit 15: the shift is down value = d (2 scale + 1) * (level ± 1/8), level in {-1,
//   0, 1}, eight values a point
#include "codecs/codebook.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 50;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int p = 0; p < 32; ++p) {
      const int high = load_u16(b + 34 + 2 * (p / 4));
      const int point = b[2 + p] | (high >> 3 * (p % 4) & 7) << 8;
      const float scale = d * static_cast<float>(2 * (high >> 12 & 7) + 1);
      decode_iq1_point(kGridIq1[point], scale, high >> 15, values + 8 * p);
    }
  }
}

struct Format {
  using Points = search::Grid<kGridIq1, kIq1Levels, 8, 3, 32, false, 8, 32>;
  static constexpr int kBlockBytes = kBytes;
  static constexpr BlockShape kShape = search::codebook_shape<Points>(kWholeUnits);
  static constexpr float kWidest = 3.5f;

  static void read_scales(const uint8_t* b, BlockScales& scales) {
    scales.d = load_f16(b);
    for (int s = 0; s < 8; ++s) scales.a[s] = load_u16(b + 34 + 2 * s) >> 12 & 7;
  }
  static void write_scales(const BlockScales& scales, uint8_t* b) {
    store_f16(b, scales.d);
    for (int s = 0; s < 8; ++s) put_bits<uint16_t>(b + 34 + 2 * s, 12, 3, scales.a[s]);
  }
  static void store(uint8_t* b, int e, const int* points, int, bool down) {
    b[2 + e] = static_cast<uint8_t>(points[0]);
    put_bits<uint16_t>(b + 34 + 2 * (e / 4), 3 * (e % 4), 3, points[0] >> 8);
    put_bits<uint16_t>(b + 34 + 2 * (e / 4), 15, 1, down);
  }
  static bool down(const uint8_t* b, int e) { return load_u16(b + 34 + 2 * (e / 4)) >> 15; }
};

}  // namespace

const Codec kIQ1_S = search::codebook_codec<Format>(Type::IQ1_S, "IQ1_S", decode);

}  // namespace enxuto
