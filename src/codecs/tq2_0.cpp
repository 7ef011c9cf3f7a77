// TQ2_0: 256 values of {-1, 0, 1} in 66 bytes, two bits each.
//   64 bytes: value 128 h + 32 j + l in bits 2 j of byte 32 h + l | d f16
//   value = d * (code - 1)
#include "codecs/packing.h"
#include "codecs/search.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-1, 1>;
constexpr int kN = 256, kBytes = 66;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b + 64);
    for (int i = 0; i < kN; ++i) {
      const int code = b[32 * (i / 128) + i % 32] >> 2 * (i % 128 / 32) & 3;
      values[i] = d * static_cast<float>(code - 1);
    }
  }
}

constexpr BlockShape kShape = {3, kN, -1};

void set_codes(const uint8_t* codes, uint8_t* b) { pack_quarters(codes, b); }

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_scaled<Levels, kN, 3>(kTQ2_0, 64, 0.8f, 6.0f, values, importance, b, n);
}

}  // namespace

const Codec kTQ2_0 = {Type::TQ2_0,    "TQ2_0",         kN,       kBytes, decode, encode, &kShape,
                      read_scale<64>, write_scale<64>, set_codes};

}  // namespace enxuto
