// IQ2_S: 256 values in 82 bytes, sixteen sub-blocks of 16.
//   d f16 | 32 low bytes of point numbers | 32 bytes of signs | 8 bytes: two high bits of each
//   point number | 16 scales of 4 bits, low nibble first value = d (scale + 1/2) / 4 * level, eight
//   values a point
#include "codecs/codebook.h"
#include "codecs/packing.h"

namespace enxuto {
namespace {

using Points = search::Grid<kGridIq2S, kIq2Levels, 8, 3, 16, false>;
using Walk = search::GridWalk<Points>;
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

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const auto block = search::load_signed<Points>(values, importance);
    if (importance) importance += kN;
    const auto fit = search::fit_codebook<Points>(block, 0.125f, 2.2f);
    store_f16(b, 8 * fit.d);
    std::memset(b + 66, 0, 8);
    for (int p = 0; p < 32; ++p) {
      const int point = Walk::index_of(fit.numbers[p][0]);
      b[2 + p] = static_cast<uint8_t>(point);
      b[34 + p] = block.signs[p];
      b[66 + p / 4] = static_cast<uint8_t>(b[66 + p / 4] | (point >> 8) << 2 * (p % 4));
    }
    pack_nibble_pairs(fit.scales, 8, b + 74);
  }
}

}  // namespace

const Codec kIQ2_S = {Type::IQ2_S, "IQ2_S", kN, kBytes, decode, encode};

}  // namespace enxuto
