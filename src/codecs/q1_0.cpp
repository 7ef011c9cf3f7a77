// Q1_0: 128 values of d or -d in 18 bytes.
//   d f16 | 16 bytes: bit i mod 8 of byte i / 8 is set where value i is d
#include "codecs/registry.h"

namespace enxuto {
namespace {

constexpr int kN = 128, kBytes = 18;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int i = 0; i < kN; ++i) values[i] = b[2 + i / 8] >> i % 8 & 1 ? d : -d;
  }
}

}  // namespace

const Codec kQ1_0 = {Type::Q1_0, "Q1_0", kN, kBytes, decode, nullptr};

}  // namespace enxuto
