// MXFP4: 32 values in 17 bytes.  e u8 | 16 bytes of nibbles, laid as in Q4_0
//   value = 2^(e - 128) * kE2m1Values[code]      (OCP microscaling: E8M0 scale, E2M1 elements, here
//   doubled)
#include <bit>

#include "codecs/half_scales.h"
#include "codecs/levels16.h"
#include "codecs/search.h"

namespace enxuto {
namespace {

constexpr int kN = 32, kBytes = 17;

float half_scale(int e) { return kHalfE8m0.of[e]; }

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = half_scale(b[0]);
    for (int i = 0; i < 16; ++i) {
      values[i] = static_cast<float>(kE2m1Values[b[1 + i] & 15]) * d;
      values[i + 16] = static_cast<float>(kE2m1Values[b[1 + i] >> 4]) * d;
    }
  }
}

constexpr BlockShape kShape = {.n_codes = 16,
                               .group_values = kN,
                               .levels = kE2m1Levels,
                               .least = 0,
                               .most = 254,
                               .units = kHalfE8m0.of,
                               .fixed_d = true};

void read_scales(const uint8_t* b, BlockScales& scales) { scales.a[0] = b[0]; }
void write_scales(const BlockScales& scales, uint8_t* b) {
  b[0] = static_cast<uint8_t>(scales.a[0]);
}

void set_codes(const uint8_t* codes, uint8_t* b) {
  for (int i = 0; i < 16; ++i)
    b[1 + i] = static_cast<uint8_t>(e2m1_code(codes[i]) | e2m1_code(codes[i + 16]) << 4);
}

// The scale is a power of two, so there is no refit: the eight exponents around the one that just
// holds the largest value are all tried.
void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    search::Block<kN> block;
    search::load_block(values, importance, block);
    if (importance) importance += kN;
    uint8_t codes[kN];
    float largest = 0;
    for (int i = 0; i < kN; ++i)
      largest = std::fabs(block.x[i]) > largest ? std::fabs(block.x[i]) : largest;
    // Brought to [1, 2), so that squares of tiny values keep their digits.
    const int exponent = static_cast<int>(std::bit_cast<uint32_t>(largest) >> 23);
    const bool tiny = exponent < 10;
    const float to_unit =
        tiny ? 0.0f : std::bit_cast<float>(static_cast<uint32_t>(254 - exponent) << 23);
    for (float& x : block.x) x *= to_unit;
    const search::Lanes scales{search::Lanes::Half{0x1p-5f, 0x1p-4f, 0x1p-3f, 0x1p-2f},
                               search::Lanes::Half{0x1p-1f, 1, 2, 4}};
    const search::Sums sums =
        search::sums_at<E2m1, kN>(block.x, block.w, search::inverse_of(scales));
    const int best = search::least_lane(scales * scales * sums.rr);
    b[0] = static_cast<uint8_t>(tiny ? 0 : exponent + best - 4);
    search::codes_at<E2m1, kN>(block.x, scales[best], codes);
    set_codes(codes, b);
  }
}

}  // namespace

const Codec kMXFP4 = {Type::MXFP4, "MXFP4", kN,          kBytes,       decode,
                      encode,      &kShape, read_scales, write_scales, set_codes};

}  // namespace enxuto
