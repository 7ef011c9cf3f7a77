// IQ2_XXS: 256 values in 66 bytes, eight sub-blocks of 32.
//   d f16 | per sub-block: four point numbers u8, then a u32: 4 × 7 sign bits, scale in the top 4
//   value = d (scale + 1/2) / 4 * level, eight values a point, signs of even parity
#include "codecs/codebook.h"
#include "codecs/packing.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 66;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int sub = 0; sub < 8; ++sub) {
      const uint8_t* points = b + 2 + 8 * sub;
      const uint32_t packed = load_u32(points + 4);
      const float scale = d * (0.5f + static_cast<float>(packed >> 28)) * 0.25f;
      for (int p = 0; p < 4; ++p)
        decode_point<8>(kGridIq2Xxs[points[p]], kIq2Levels, scale,
                        even_signs(packed >> 7 * p & 127), values + 32 * sub + 8 * p);
    }
  }
}

constexpr BlockShape kShape = {
    .n_codes = 0, .group_values = 32, .least = 0, .most = 15, .units = kEighthUnits.of};

void read_scales(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b);
  for (int s = 0; s < 8; ++s) scales.a[s] = static_cast<int>(load_u32(b + 6 + 8 * s) >> 28);
}
void write_scales(const BlockScales& scales, uint8_t* b) {
  store_f16(b, scales.d);
  for (int s = 0; s < 8; ++s) put_u32(b + 6 + 8 * s, 28, 4, static_cast<uint32_t>(scales.a[s]));
}

struct Format {
  using Points = search::Grid<kGridIq2Xxs, kIq2Levels, 8, 3, 32, true>;
  static void store(uint8_t* b, int e, const int* points, int signs, bool) {
    uint8_t* sub = b + 2 + 8 * (e / 4);
    sub[e % 4] = static_cast<uint8_t>(points[0]);
    put_u32(sub + 4, 7 * (e % 4), 7, signs & 127);
  }
};

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_codebook<Format>(kIQ2_XXS, 0.125f, 2.2f, values, importance, b, n);
}

}  // namespace

const Codec kIQ2_XXS = {Type::IQ2_XXS,
                        "IQ2_XXS",
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
