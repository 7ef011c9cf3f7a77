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

void grid(const uint8_t* b, BlockGrid& grid) {
  const float d = load_f16(b + 80), dmin = load_f16(b + 82);
  grid = {kMax + 1, kN / kSubs, nullptr, {}, {}};
  for (int s = 0; s < kSubs; ++s) {
    grid.step[s] = d * static_cast<float>(b[s] & 15);
    grid.offset[s] = -dmin * static_cast<float>(b[s] >> 4);
  }
}

void set_codes(const uint8_t* codes, uint8_t* b) { pack_quarters(codes, b + 16); }

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    search::Block<kN> block;
    uint8_t codes[kN];
    search::load_block(values, importance, block);
    if (importance) importance += kN;
    const auto fit = search::fit_super_affine<kMax, kSubs, 15, 5>(block, -0.02f, 0.3f);
    const float d = store_f16(b + 80, fit.d), dmin = store_f16(b + 82, fit.dmin);
    for (int s = 0; s < kSubs; ++s) {
      b[s] = static_cast<uint8_t>(fit.scales[s] | fit.lows[s] << 4);
      search::affine_codes<kMax, 16>(block.x + 16 * s, d * fit.scales[s], dmin * fit.lows[s],
                                     codes + 16 * s);
    }
    set_codes(codes, b);
  }
}

}  // namespace

const Codec kQ2_K = {Type::Q2_K, "Q2_K", kN, kBytes, decode, encode, grid, set_codes};

}  // namespace enxuto
