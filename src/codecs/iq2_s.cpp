// IQ2_S: 256 values in 82 bytes, sixteen sub-blocks of 16.
//   d f16 | 32 low bytes of point numbers | 32 bytes of signs | 8 bytes: two high bits of each
//   point number | 16 scales of 4 bits, low nibble first value = d (scale + 1/2) / 4 * level, eight
//   values a point
#include "codecs/codebook.h"
#include "codecs/packing.h"

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

constexpr BlockShape kShape = {
    .n_codes = 0, .group_values = 16, .least = 0, .most = 15, .units = kEighthUnits.of};

void read_scales(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b);
  unpack_nibble_pairs(b + 74, 8, scales.a);
}
void write_scales(const BlockScales& scales, uint8_t* b) {
  store_f16(b, scales.d);
  pack_nibble_pairs(scales.a, 8, b + 74);
}

struct Format {
  using Points = search::Grid<kGridIq2S, kIq2Levels, 8, 3, 16, false>;
  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    b[2 + e] = static_cast<uint8_t>(points[0]);
    b[34 + e] = static_cast<uint8_t>(signs);
    put_bits(b[66 + e / 4], 2 * (e % 4), 2, points[0] >> 8);
  }
};

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_codebook<Format>(kIQ2_S, 0.125f, 2.2f, values, importance, b, n);
}

}  // namespace

const Codec kIQ2_S = {Type::IQ2_S,
                      "IQ2_S",
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
