// Q1_0: 128 values of d or -d in 18 bytes.
//   d f16 | 16 bytes: bit i mod 8 of byte i / 8 is set where value i is d
#include "codecs/search.h"

namespace enxuto {
namespace {

constexpr int kN = 128, kBytes = 18;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    for (int i = 0; i < kN; ++i) values[i] = b[2 + i / 8] >> i % 8 & 1 ? d : -d;
  }
}

constexpr float kSigns[] = {-1, 1};
constexpr BlockShape kShape = {2, kN, 0, kSigns};

void set_codes(const uint8_t* codes, uint8_t* b) {
  std::memset(b + 2, 0, kN / 8);
  for (int i = 0; i < kN; ++i)
    b[2 + i / 8] = static_cast<uint8_t>(b[2 + i / 8] | codes[i] << i % 8);
}

// Signs are given, so the best d is the mean magnitude: nothing to search.
void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    search::Block<kN> block;
    uint8_t codes[kN];
    search::load_block(values, importance, block);
    if (importance) importance += kN;
    float magnitudes = 0, weights = 0;
    for (int i = 0; i < kN; ++i) {
      codes[i] = block.x[i] >= 0;
      magnitudes += block.w[i] * std::fabs(block.x[i]), weights += block.w[i];
    }
    store_f16(b, magnitudes / weights);
    set_codes(codes, b);
  }
}

}  // namespace

const Codec kQ1_0 = {Type::Q1_0,    "Q1_0",         kN,       kBytes, decode, encode, &kShape,
                     read_scale<0>, write_scale<0>, set_codes};

}  // namespace enxuto
