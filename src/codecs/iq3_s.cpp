// IQ3_S: 256 values in 110 bytes, eight sub-blocks of 32.
//   d f16 | 64 low bytes of point numbers | 8 bytes: their high bits | 32 bytes of signs | 8 scales
//   of 4 bits, low nibble first
//   value = d (2 scale + 1) * level, four values a point
#include "codecs/codebook.h"
#include "codecs/packing.h"

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

constexpr BlockShape kShape = {
    .n_codes = 0, .group_values = 32, .least = 0, .most = 15, .units = kWholeUnits.of};

void read_scales(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b);
  unpack_nibble_pairs(b + 106, 4, scales.a);
}
void write_scales(const BlockScales& scales, uint8_t* b) {
  store_f16(b, scales.d);
  pack_nibble_pairs(scales.a, 4, b + 106);
}

struct Format {
  using Points = search::Grid<kGridIq3S, kIq3SLevels, 4, 8, 32, false>;
  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    for (int p = 2 * e; p < 2 * e + 2; ++p) {
      const int point = points[p % 2];
      b[2 + p] = static_cast<uint8_t>(point);
      put_bits(b[66 + p / 8], p % 8, 1, point >> 8);
    }
    b[74 + e] = static_cast<uint8_t>(signs);
  }
};

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_codebook<Format>(kIQ3_S, 1.0f, 1.7f, values, importance, b, n);
}

}  // namespace

const Codec kIQ3_S = {Type::IQ3_S,
                      "IQ3_S",
                      kN,
                      kBytes,
                      decode,
                      encode,
                      &kShape,
                      read_scales,
                      write_scales,
                      nullptr,
                      search::set_points<Format>};

}  // namespace enxuto
