// Q4_K: 256 values in 144 bytes, 8 sub-blocks of 32.
//   d f16 | dmin f16 | 12 bytes of scales and minima (scales_k4.h) | 128 bytes of nibbles
//   value = d * scale * code - dmin * minimum; sub-blocks 2 j and 2 j + 1 share the 32 bytes from
//   32 j on, low nibble first
#include "codecs/packing.h"
#include "codecs/scales_k4.h"
#include "codecs/super_block.h"

namespace enxuto {
namespace {

constexpr int kN = 256, kBytes = 144, kSubs = 8, kMax = 15;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes) {
    const float d = load_f16(b), dmin = load_f16(b + 2);
    for (int s = 0; s < kSubs; ++s, values += 32) {
      const auto [scale, min] = unpack_k4(b + 4, s);
      const float sub = d * static_cast<float>(scale), low = dmin * static_cast<float>(min);
      const uint8_t* q = b + 16 + 32 * (s / 2);
      for (int i = 0; i < 32; ++i)
        values[i] = sub * static_cast<float>(q[i] >> 4 * (s % 2) & 15) - low;
    }
  }
}

constexpr BlockShape kShape = {
    .n_codes = kMax + 1, .group_values = 32, .least = 0, .most = 63, .most_low = 63};

void set_codes(const uint8_t* codes, uint8_t* b) {
  for (int pair = 0; pair < kSubs / 2; ++pair)
    pack_nibbles(codes + 64 * pair, 32, b + 16 + 32 * pair);
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_super_affine<kMax, kSubs, 63>(kQ4_K, -0.02f, 0.2f, values, importance, b, n);
}

}  // namespace

const Codec kQ4_K = {Type::Q4_K, "Q4_K",  kN,      kBytes,   decode,
                     encode,     &kShape, read_k4, write_k4, set_codes};

}  // namespace enxuto
