// IQ4_XS: 256 values in 136 bytes, 8 sub-blocks of 32.
//   d f16 | u16: 2 high bits of each scale | 4 bytes: 4 low bits of each scale | 8 x 16 bytes of
//   nibbles, laid as in IQ4_NL value = d * (scale - 32) * kIq4Levels[code]
#include "codecs/levels16.h"
#include "codecs/packing.h"
#include "codecs/super_block.h"

namespace enxuto {
namespace {

using Levels = search::TableLevels<kIq4Levels>;
constexpr int kN = 256, kBytes = 136, kSubs = 8;

float sub_scale(const uint8_t* b, int s) {
  const int low = b[4 + s / 2] >> 4 * (s % 2) & 15, high = load_u16(b + 2) >> 2 * s & 3;
  return load_f16(b) * static_cast<float>((low | high << 4) - 32);
}

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes) {
    for (int s = 0; s < kSubs; ++s, values += 32) {
      const float sub = sub_scale(b, s);
      const uint8_t* q = b + 8 + 16 * s;
      for (int i = 0; i < 16; ++i) {
        values[i] = sub * kIq4Levels[q[i] & 15];
        values[i + 16] = sub * kIq4Levels[q[i] >> 4];
      }
    }
  }
}

void grid(const uint8_t* b, BlockGrid& grid) {
  grid = {16, kN / kSubs, kIq4Levels, {}, {}};
  for (int s = 0; s < kSubs; ++s) grid.step[s] = sub_scale(b, s);
}

void set_codes(const uint8_t* codes, uint8_t* b) {
  for (int s = 0; s < kSubs; ++s) pack_nibbles(codes + 32 * s, 16, b + 8 + 16 * s);
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    search::Block<kN> block;
    uint8_t codes[kN];
    search::load_block(values, importance, block);
    if (importance) importance += kN;
    const auto fit = search::fit_super_symmetric<Levels, kSubs, -32, 31, 2>(block, 0.7f, 1.3f);
    const float d = store_f16(b, fit.d);
    uint32_t high = 0;
    std::memset(b + 4, 0, 4);
    for (int s = 0; s < kSubs; ++s) {
      const uint32_t scale = static_cast<uint32_t>(fit.scales[s] + 32);
      b[4 + s / 2] = static_cast<uint8_t>(b[4 + s / 2] | (scale & 15) << 4 * (s % 2));
      high |= (scale >> 4) << 2 * s;
      search::codes_at<Levels, 32>(block.x + 32 * s, d * fit.scales[s], codes + 32 * s);
    }
    set_codes(codes, b);
    b[2] = static_cast<uint8_t>(high), b[3] = static_cast<uint8_t>(high >> 8);
  }
}

}  // namespace

const Codec kIQ4_XS = {Type::IQ4_XS, "IQ4_XS", kN, kBytes, decode, encode, grid, set_codes};

}  // namespace enxuto
