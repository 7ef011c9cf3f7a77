// Q2_0: 64 values in 18 bytes.  d f16 | 16 bytes: value i in bits 2 (i mod 4) of byte i / 4
//   value = d * (code - 1)
#include "codecs/search.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-1, 2>;
constexpr int kN = 64, kBytes = 18;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int i = 0; i < kN; ++i)
      values[i] = static_cast<float>((b[2 + i / 4] >> 2 * (i % 4) & 3) - 1) * d;
  }
}

constexpr BlockShape kShape = {4, kN, -1};

void set_codes(const uint8_t* codes, uint8_t* b) {
  for (int i = 0; i < kN / 4; ++i, codes += 4)
    b[2 + i] = static_cast<uint8_t>(codes[0] | codes[1] << 2 | codes[2] << 4 | codes[3] << 6);
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_scaled<Levels, kN, 4>(kQ2_0, 0, 0.7f, 4.0f, values, importance, b, n);
}

}  // namespace

const Codec kQ2_0 = {Type::Q2_0,    "Q2_0",         kN,       kBytes, decode, encode, &kShape,
                     read_scale<0>, write_scale<0>, set_codes};

}  // namespace enxuto
