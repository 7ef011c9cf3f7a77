// IQ1_S: 256 values in 50 bytes, eight sub-blocks of 32.
//   d f16 | 32 low bytes of point numbers | 8 × u16: 4 × 3 high bits of point numbers, scale in
//   bits 12 … 14, bit 15: the shift is down value = d (2 scale + 1) * (level ± 1/8), level in {-1,
//   0, 1}, eight values a point
#include "codecs/grids.h"
#include "codecs/registry.h"

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

}  // namespace

const Codec kIQ1_S = {Type::IQ1_S, "IQ1_S", kN, kBytes, decode, nullptr};

}  // namespace enxuto
