// Q4_0: 32 values in 18 bytes.  d f16 | 16 bytes: value i in the low nibble of byte i, value i + 16
// in the high one
//   value = d * (code - 8)
#include "codecs/packing.h"
#include "codecs/search.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-8, 7>;
constexpr int kN = 32, kBytes = 18;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int i = 0; i < 16; ++i) {
      values[i] = static_cast<float>((b[2 + i] & 15) - 8) * d;
      values[i + 16] = static_cast<float>((b[2 + i] >> 4) - 8) * d;
    }
  }
}

constexpr BlockShape kShape = {16, kN, -8};

void set_codes(const uint8_t* codes, uint8_t* b) { pack_nibbles(codes, 16, b + 2); }

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_scaled<Levels, kN, 3>(kQ4_0, 0, 0.75f, 1.6f, values, importance, b, n);
}

}  // namespace

const Codec kQ4_0 = {Type::Q4_0,    "Q4_0",         kN,       kBytes, decode, encode, &kShape,
                     read_scale<0>, write_scale<0>, set_codes};

}  // namespace enxuto
