// IQ1_S: 256 values in 50 bytes, eight sub-blocks of 32.
//   d f16 | 32 low bytes of point numbers | 8 × u16: 4 × 3 high bits of point numbers, scale in
//   bits 12 … 14, bit 15: the shift is down value = d (2 scale + 1) * (level ± 1/8), level in {-1,
//   0, 1}, eight values a point
#include "codecs/codebook.h"

namespace enxuto {
namespace {

using Points = search::Grid<kGridIq1, kIq1Levels, 8, 3, 32, false, 8, 32>;
using Walk = search::GridWalk<Points>;
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

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const auto block = search::load_signed<Points>(values, importance);
    if (importance) importance += kN;
    const auto fit = search::fit_codebook<Points>(block, 1.0f, 3.5f);
    store_f16(b, fit.d);
    for (int s = 0; s < 8; ++s) {
      int high = fit.scales[s] << 12 | fit.down[4 * s] << 15;
      for (int p = 0; p < 4; ++p) {
        const int point = Walk::index_of(fit.numbers[4 * s + p][0]);
        b[2 + 4 * s + p] = static_cast<uint8_t>(point);
        high |= (point >> 8) << 3 * p;
      }
      store_u16(b + 34 + 2 * s, static_cast<uint16_t>(high));
    }
  }
}

}  // namespace

const Codec kIQ1_S = {Type::IQ1_S, "IQ1_S", kN, kBytes, decode, encode};

}  // namespace enxuto
