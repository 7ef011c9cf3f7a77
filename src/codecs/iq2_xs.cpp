// IQ2_XS: 256 values in 74 bytes, sixteen sub-blocks of 16.
//   d f16 | 32 × u16: point number in 9 bits, then 7 sign bits | 16 scales of 4 bits, low nibble
//   first
//   value = d (scale + 1/2) / 4 * level, eight values a point, signs of even parity
#include "codecs/codebook.h"
#include "codecs/packing.h"

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

constexpr BlockShape kShape = {
    .n_codes = 0, .group_values = 16, .least = 0, .most = 15, .units = kEighthUnits.of};

void read_scales(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b);
  unpack_nibble_pairs(b + 66, 8, scales.a);
}
void write_scales(const BlockScales& scales, uint8_t* b) {
  store_f16(b, scales.d);
  pack_nibble_pairs(scales.a, 8, b + 66);
}

struct Format {
  using Points = search::Grid<kGridIq2Xs, kIq2Levels, 8, 3, 16, true>;
  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    store_u16(b + 2 + 2 * e, static_cast<uint16_t>(points[0] | (signs & 127) << 9));
  }
};

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_codebook<Format>(kIQ2_XS, 0.125f, 2.2f, values, importance, b, n);
}

}  // namespace

const Codec kIQ2_XS = {Type::IQ2_XS,
                       "IQ2_XS",
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
