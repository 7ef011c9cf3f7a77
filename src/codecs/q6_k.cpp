// Q6_K: 256 values in 210 bytes, 16 sub-blocks of 16.
//   128 bytes: four low bits | 64 bytes: two high bits | 16 signed scales | d f16
//   value = d * scale * (code - 32); value 128 h + 32 j + l: nibble j / 2 of byte 64 h + 32 (j mod
//   2) + l, high bits in bits 2 j of byte 32 h + l
#include "codecs/super_block.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-32, 31>;
constexpr int kN = 256, kBytes = 210, kSubs = 16;

struct Place {
  int low_byte, low_shift, high_byte, high_shift;
};

constexpr Place place_of(int i) {
  const int h = i / 128, j = i % 128 / 32, l = i % 32;
  return {64 * h + 32 * (j % 2) + l, 4 * (j / 2), 128 + 32 * h + l, 2 * j};
}

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b + 208);
    for (int i = 0; i < kN; ++i) {
      const Place p = place_of(i);
      const int code = (b[p.low_byte] >> p.low_shift & 15) | (b[p.high_byte] >> p.high_shift & 3)
                                                                 << 4;
      const float sub = d * static_cast<float>(static_cast<int8_t>(b[192 + i / 16]));
      values[i] = sub * static_cast<float>(code - 32);
    }
  }
}

constexpr BlockShape kShape = {
    .n_codes = 64, .group_values = 16, .zero = -32, .least = -128, .most = 127};

void read_scales(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b + 208);
  for (int s = 0; s < kSubs; ++s) scales.a[s] = static_cast<int8_t>(b[192 + s]);
}

void write_scales(const BlockScales& scales, uint8_t* b) {
  store_f16(b + 208, scales.d);
  for (int s = 0; s < kSubs; ++s) b[192 + s] = static_cast<uint8_t>(scales.a[s]);
}

void set_codes(const uint8_t* codes, uint8_t* b) {
  std::memset(b, 0, 192);
  for (int i = 0; i < kN; ++i) {
    const Place p = place_of(i);
    b[p.low_byte] = static_cast<uint8_t>(b[p.low_byte] | (codes[i] & 15) << p.low_shift);
    b[p.high_byte] = static_cast<uint8_t>(b[p.high_byte] | (codes[i] >> 4) << p.high_shift);
  }
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_super_symmetric<Levels, kSubs, -128, 127>(kQ6_K, 0.9f, 1.1f, values, importance, b,
                                                           n);
}

}  // namespace

const Codec kQ6_K = {Type::Q6_K, "Q6_K",  kN,          kBytes,       decode,
                     encode,     &kShape, read_scales, write_scales, set_codes};

}  // namespace enxuto
