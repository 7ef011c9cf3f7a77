// Q2_K: 256 values in 84 bytes, 16 sub-blocks of 16.
//   16 bytes: scale (low nibble) and minimum (high) | 64 bytes of 2-bit codes | d f16 | dmin f16
//   value = d * scale * code - dmin * minimum; codes of value 128 h + 32 j + l in bits 2 j of byte
//   32 h + l
#include "codecs/packing.h"
#include "codecs/super_block.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 84, kSubs = 16, kMax = 3;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b + 80), dmin = load_f16(b + 82);
    for (int i = 0; i < kN; ++i) {
      const int code = b[16 + i / 128 * 32 + i % 32] >> 2 * (i % 128 / 32) & 3;
      const uint8_t s = b[i / 16];
      values[i] = d * static_cast<float>(s & 15) * static_cast<float>(code) -
                  dmin * static_cast<float>(s >> 4);
    }
  }
}

constexpr BlockShape kShape = {
    .n_codes = kMax + 1, .group_values = 16, .least = 0, .most = 15, .most_low = 15};

void read_scales(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b + 80), scales.low = -load_f16(b + 82);
  for (int s = 0; s < kSubs; ++s) scales.a[s] = b[s] & 15, scales.b[s] = b[s] >> 4;
}

void write_scales(const BlockScales& scales, uint8_t* b) {
  store_f16(b + 80, scales.d), store_f16(b + 82, -scales.low);
  for (int s = 0; s < kSubs; ++s) b[s] = static_cast<uint8_t>(scales.a[s] | scales.b[s] << 4);
}

void set_codes(const uint8_t* codes, uint8_t* b) { pack_quarters(codes, b + 16); }

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_super_affine<kMax, kSubs, 15>(kQ2_K, -0.02f, 0.3f, values, importance, b, n);
}

}  // namespace

const Codec kQ2_K = {Type::Q2_K, "Q2_K",  kN,          kBytes,       decode,
                     encode,     &kShape, read_scales, write_scales, set_codes};

}  // namespace enxuto
