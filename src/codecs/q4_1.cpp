// Q4_1: 32 values in 20 bytes.  d f16 | m f16 | 16 bytes of nibbles, laid as in Q4_0
//   value = d * code + m
#include "codecs/affine.h"
#include "codecs/packing.h"
#include "codecs/registry.h"

namespace enxuto {
namespace {

constexpr int kN = 32, kBytes = 20, kMax = 15;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b), m = load_f16(b + 2);
    for (int i = 0; i < 16; ++i) {
      values[i] = static_cast<float>(b[4 + i] & 15) * d + m;
      values[i + 16] = static_cast<float>(b[4 + i] >> 4) * d + m;
    }
  }
}

constexpr BlockShape kShape = {.n_codes = kMax + 1, .group_values = kN, .most_low = 1};

void set_codes(const uint8_t* codes, uint8_t* b) { pack_nibbles(codes, 16, b + 4); }

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_affine<kMax, kN, 5>(kQ4_1, -0.02f, 0.2f, values, importance, b, n);
}

}  // namespace

const Codec kQ4_1 = {
    Type::Q4_1,           "Q4_1",   kN, kBytes, decode, encode, &kShape, search::read_affine,
    search::write_affine, set_codes};

}  // namespace enxuto
