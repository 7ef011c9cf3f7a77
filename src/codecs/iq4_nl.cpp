// IQ4_NL: 32 values in 18 bytes.  d f16 | 16 bytes of nibbles, laid as in Q4_0
//   value = d * kIq4Levels[code]
#include "codecs/levels16.h"
#include "codecs/packing.h"
#include "codecs/search.h"

namespace enxuto {
namespace {

using Levels = search::TableLevels<kIq4Levels>;
constexpr int kN = 32, kBytes = 18;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int i = 0; i < 16; ++i) {
      values[i] = d * kIq4Levels[b[2 + i] & 15];
      values[i + 16] = d * kIq4Levels[b[2 + i] >> 4];
    }
  }
}

constexpr BlockShape kShape = {16, kN, 0, kIq4Levels};

void set_codes(const uint8_t* codes, uint8_t* b) { pack_nibbles(codes, 16, b + 2); }

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_scaled<Levels, kN, 2, 2>(kIQ4_NL, 0, 0.70f, 1.3f, values, importance, b, n);
}

}  // namespace

const Codec kIQ4_NL = {Type::IQ4_NL,  "IQ4_NL",       kN,       kBytes, decode, encode, &kShape,
                       read_scale<0>, write_scale<0>, set_codes};

}  // namespace enxuto
