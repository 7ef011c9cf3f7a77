// IQ3_XXS: 256 values in 98 bytes, eight sub-blocks of 32.
//   d f16 | 64 point numbers u8 | 8 × u32: 4 × 7 sign bits, scale in the top 4
//   value = d (scale + 1/2) / 2 * level, four values a point, signs of even parity for each eight
#include "codecs/codebook.h"
#include "codecs/packing.h"

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

constexpr BlockShape kShape = {
    .n_codes = 0, .group_values = 32, .least = 0, .most = 15, .units = kQuarterUnits.of};

void read_scales(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b);
  for (int s = 0; s < 8; ++s) scales.a[s] = static_cast<int>(load_u32(b + 66 + 4 * s) >> 28);
}
void write_scales(const BlockScales& scales, uint8_t* b) {
  store_f16(b, scales.d);
  for (int s = 0; s < 8; ++s) put_u32(b + 66 + 4 * s, 28, 4, static_cast<uint32_t>(scales.a[s]));
}

struct Format {
  using Points = search::Grid<kGridIq3Xxs, kIq3XxsLevels, 4, 8, 32, true>;
  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    for (int p : {0, 1}) b[2 + 2 * e + p] = static_cast<uint8_t>(points[p]);
    put_u32(b + 66 + 4 * (e / 4), 7 * (e % 4), 7, signs & 127);
  }
};

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_codebook<Format>(kIQ3_XXS, 0.25f, 1.7f, values, importance, b, n);
}

}  // namespace

const Codec kIQ3_XXS = {Type::IQ3_XXS,
                        "IQ3_XXS",
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
