// Q5_K: 256 values in 176 bytes, 8 sub-blocks of 32.
//   d f16 | dmin f16 | 12 bytes of scales and minima (scales_k4.h) | 32 bytes: fifth bits | 128
//   bytes of nibbles as in Q4_K value = d * scale * code - dmin * minimum; the fifth bit of value i
//   of sub-block s is bit s of byte i
#include "codecs/scales_k4.h"
#include "codecs/super_block.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 176, kSubs = 8, kMax = 31;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes) {
    const float d = load_f16(b), dmin = load_f16(b + 2);
    for (int s = 0; s < kSubs; ++s, values += 32) {
      const auto [scale, min] = unpack_k4(b + 4, s);
      const float sub = d * static_cast<float>(scale), low = dmin * static_cast<float>(min);
      const uint8_t* q = b + 48 + 32 * (s / 2);
      for (int i = 0; i < 32; ++i) {
        const int code = (q[i] >> 4 * (s % 2) & 15) | (b[16 + i] >> s & 1) << 4;
        values[i] = sub * static_cast<float>(code) - low;
      }
    }
  }
}

constexpr BlockShape kShape = {
    .n_codes = kMax + 1, .group_values = 32, .least = 0, .most = 63, .most_low = 63};

void set_codes(const uint8_t* codes, uint8_t* b) {
  std::memset(b + 16, 0, 160);
  for (int s = 0; s < kSubs; ++s, codes += 32) {
    uint8_t* q = b + 48 + 32 * (s / 2);
    for (int i = 0; i < 32; ++i) {
      q[i] = static_cast<uint8_t>(q[i] | (codes[i] & 15) << 4 * (s % 2));
      b[16 + i] = static_cast<uint8_t>(b[16 + i] | (codes[i] >> 4) << s);
    }
  }
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_super_affine<kMax, kSubs, 63>(kQ5_K, -0.02f, 0.12f, values, importance, b, n);
}

}  // namespace

const Codec kQ5_K = {Type::Q5_K, "Q5_K",  kN,      kBytes,   decode,
                     encode,     &kShape, read_k4, write_k4, set_codes};

}  // namespace enxuto
