// Q3_K: 256 values in 110 bytes, 16 sub-blocks of 16.
//   32 bytes: third bit of the codes | 64 bytes: two low bits, laid as in Q2_K | 12 bytes: sixteen
//   6-bit scales | d f16 value = d * (scale - 32) * (code - 4); the third bit of value 32 j + l is
//   bit j of byte l scales: low nibbles of 0 … 7 and of 8 … 15 share bytes 0 … 7; bits 2 (s / 4) of
//   byte 8 + s mod 4 hold the two high bits
#include "codecs/packing.h"
#include "codecs/super_block.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-4, 3>;
constexpr int kN = 256, kBytes = 110, kSubs = 16;

int scale_at(const uint8_t* scales, int s) {
  const int low = scales[s % 8] >> 4 * (s / 8) & 15;
  const int high = scales[8 + s % 4] >> 2 * (s / 4) & 3;
  return low | high << 4;
}

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b + 108);
    for (int i = 0; i < kN; ++i) {
      const int low = b[32 + i / 128 * 32 + i % 32] >> 2 * (i % 128 / 32) & 3;
      const int third = b[i % 32] >> (i / 32) & 1;
      const float sub = d * static_cast<float>(scale_at(b + 96, i / 16) - 32);
      values[i] = sub * static_cast<float>(low + 4 * third - 4);
    }
  }
}

constexpr BlockShape kShape = {
    .n_codes = 8, .group_values = 16, .zero = -4, .least = -32, .most = 31};

void read_scales(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b + 108);
  for (int s = 0; s < kSubs; ++s) scales.a[s] = scale_at(b + 96, s) - 32;
}

void write_scales(const BlockScales& scales, uint8_t* b) {
  store_f16(b + 108, scales.d);
  std::memset(b + 96, 0, 12);
  for (int s = 0; s < kSubs; ++s) {
    const int scale = scales.a[s] + 32;
    b[96 + s % 8] = static_cast<uint8_t>(b[96 + s % 8] | (scale & 15) << 4 * (s / 8));
    b[104 + s % 4] = static_cast<uint8_t>(b[104 + s % 4] | (scale >> 4) << 2 * (s / 4));
  }
}

void set_codes(const uint8_t* codes, uint8_t* b) {
  pack_quarters(codes, b + 32);
  std::memset(b, 0, 32);
  for (int i = 0; i < kN; ++i)
    b[i % 32] = static_cast<uint8_t>(b[i % 32] | (codes[i] >> 2) << (i / 32));
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_super_symmetric<Levels, kSubs, -32, 31>(kQ3_K, 0.7f, 2.0f, values, importance, b,
                                                         n);
}

}  // namespace

const Codec kQ3_K = {Type::Q3_K, "Q3_K",  kN,          kBytes,       decode,
                     encode,     &kShape, read_scales, write_scales, set_codes};

}  // namespace enxuto
