// Q5_0: 32 values in 22 bytes.  d f16 | u32: bit i is the fifth bit of value i | 16 bytes of
// nibbles, laid as in Q4_0
//   value = d * (code - 16)
#include "codecs/packing.h"
#include "codecs/search.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-16, 15>;
constexpr int kN = 32, kBytes = 22;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    uint32_t fifth;
    std::memcpy(&fifth, b + 2, 4);
    for (int i = 0; i < 16; ++i) {
      values[i] =
          static_cast<float>(static_cast<int>((b[6 + i] & 15) | (fifth >> i & 1) << 4) - 16) * d;
      values[i + 16] = static_cast<float>(
                           static_cast<int>((b[6 + i] >> 4) | (fifth >> (i + 16) & 1) << 4) - 16) *
                       d;
    }
  }
}

constexpr BlockShape kShape = {32, kN, -16};

void set_codes(const uint8_t* codes, uint8_t* b) { pack_fives(codes, b + 2); }

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_scaled<Levels, kN, 3>(kQ5_0, 0, 0.85f, 1.3f, values, importance, b, n);
}

}  // namespace

const Codec kQ5_0 = {Type::Q5_0,    "Q5_0",         kN,       kBytes, decode, encode, &kShape,
                     read_scale<0>, write_scale<0>, set_codes};

}  // namespace enxuto
