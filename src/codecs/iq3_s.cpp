// IQ3_S: 256 values in 110 bytes, eight sub-blocks of 32.
//   d f16 | 64 low bytes of point numbers | 8 bytes: their high bits | 32 bytes of signs | 8 scales
//   of 4 bits, low nibble first
//   value = d (2 scale + 1) * level, four values a point
#include "codecs/codebook.h"
#include "codecs/packing.h"

namespace enxuto {
namespace {

using Points = search::Grid<kGridIq3S, kIq3SLevels, 4, 8, 32, false>;
using Walk = search::GridWalk<Points>;
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

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const auto block = search::load_signed<Points>(values, importance);
    if (importance) importance += kN;
    const auto fit = search::fit_codebook<Points>(block, 1.0f, 1.7f);
    store_f16(b, fit.d);
    std::memset(b + 66, 0, 8);
    for (int p = 0; p < 64; ++p) {
      const int point = Walk::index_of(fit.numbers[p / 2][p % 2]);
      b[2 + p] = static_cast<uint8_t>(point);
      b[66 + p / 8] = static_cast<uint8_t>(b[66 + p / 8] | (point >> 8) << p % 8);
    }
    std::memcpy(b + 74, block.signs, 32);
    pack_nibble_pairs(fit.scales, 4, b + 106);
  }
}

}  // namespace

const Codec kIQ3_S = {Type::IQ3_S, "IQ3_S", kN, kBytes, decode, encode};

}  // namespace enxuto
