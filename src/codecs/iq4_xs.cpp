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

int scale_at(const uint8_t* b, int s) {
  const int low = b[4 + s / 2] >> 4 * (s % 2) & 15, high = load_u16(b + 2) >> 2 * s & 3;
  return (low | high << 4) - 32;
}

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes) {
    const float d = load_f16(b);
    for (int s = 0; s < kSubs; ++s, values += 32) {
      const float sub = d * static_cast<float>(scale_at(b, s));
      const uint8_t* q = b + 8 + 16 * s;
      for (int i = 0; i < 16; ++i) {
        values[i] = sub * kIq4Levels[q[i] & 15];
        values[i + 16] = sub * kIq4Levels[q[i] >> 4];
      }
    }
  }
}

constexpr BlockShape kShape = {
    .n_codes = 16, .group_values = 32, .levels = kIq4Levels, .least = -32, .most = 31};

void read_scales(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b);
  for (int s = 0; s < kSubs; ++s) scales.a[s] = scale_at(b, s);
}

void write_scales(const BlockScales& scales, uint8_t* b) {
  store_f16(b, scales.d);
  uint32_t high = 0;
  std::memset(b + 4, 0, 4);
  for (int s = 0; s < kSubs; ++s) {
    const auto scale = static_cast<uint32_t>(scales.a[s] + 32);
    b[4 + s / 2] = static_cast<uint8_t>(b[4 + s / 2] | (scale & 15) << 4 * (s % 2));
    high |= (scale >> 4) << 2 * s;
  }
  store_u16(b + 2, static_cast<uint16_t>(high));
}

void set_codes(const uint8_t* codes, uint8_t* b) {
  for (int s = 0; s < kSubs; ++s) pack_nibbles(codes + 32 * s, 16, b + 8 + 16 * s);
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_super_symmetric<Levels, kSubs, -32, 31>(kIQ4_XS, 0.7f, 1.3f, values, importance, b,
                                                         n);
}

}  // namespace

const Codec kIQ4_XS = {Type::IQ4_XS, "IQ4_XS", kN,          kBytes,       decode,
                       encode,       &kShape,  read_scales, write_scales, set_codes};

}  // namespace enxuto
