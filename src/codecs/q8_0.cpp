// Q8_0: 32 values in 34 bytes.  d f16 | 32 signed bytes
//   value = d * code
#include "codecs/search.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-127, 127>;
constexpr int kN = 32, kBytes = 34;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int i = 0; i < kN; ++i) values[i] = static_cast<float>(static_cast<int8_t>(b[2 + i])) * d;
  }
}

constexpr BlockShape kShape = {255, kN, -127};

void set_codes(const uint8_t* codes, uint8_t* b) {
  for (int i = 0; i < kN; ++i) b[2 + i] = static_cast<uint8_t>(codes[i] - 127);
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_scaled<Levels, kN, 3>(kQ8_0, 0, 0.93f, 1.01f, values, importance, b, n);
}

}  // namespace

const Codec kQ8_0 = {Type::Q8_0,    "Q8_0",         kN,       kBytes, decode, encode, &kShape,
                     read_scale<0>, write_scale<0>, set_codes};

}  // namespace enxuto
