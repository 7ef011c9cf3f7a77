// TQ1_0: 256 values of {-1, 0, 1} in 54 bytes, five to a byte.
//   32 bytes, values 0 … 159 | 16 bytes, values 160 … 239 | 4 bytes, values 240 … 255 | d f16
//   A byte is the fraction byte / 256 in base three; digit j of byte i of a part of w bytes is
//   value w j + i of that part.   value = d * (digit - 1)
#include "codecs/search.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-1, 1>;
constexpr int kN = 256, kBytes = 54;

// The digits come out one by one: after j multiplications by three, modulo 1, the next stands
// before the point.
float trit(uint8_t byte, int digit) {
  constexpr uint8_t kPowers[] = {1, 3, 9, 27, 81};
  const uint8_t fraction = static_cast<uint8_t>(byte * kPowers[digit]);
  return static_cast<float>((fraction * 3 >> 8) - 1);
}

float* decode_part(const uint8_t* bytes, int width, int digits, float d, float* values) {
  for (int j = 0; j < digits; ++j)
    for (int i = 0; i < width; ++i) *values++ = d * trit(bytes[i], j);
  return values;
}

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes) {
    const float d = load_f16(b + 52);
    values = decode_part(b, 32, 5, d, values);
    values = decode_part(b + 32, 16, 5, d, values);
    values = decode_part(b + 48, 4, 4, d, values);
  }
}

constexpr BlockShape kShape = {3, kN, -1};

// The least byte whose fraction of 256 begins with these digits.
uint8_t* set_part(uint8_t* bytes, int width, int digits, const uint8_t* codes) {
  for (int i = 0; i < width; ++i) {
    int number = 0;
    for (int j = 0; j < 5; ++j) number = 3 * number + (j < digits ? codes[width * j + i] : 0);
    *bytes++ = static_cast<uint8_t>((number * 256 + 242) / 243);
  }
  return bytes;
}

void set_codes(const uint8_t* codes, uint8_t* b) {
  b = set_part(b, 32, 5, codes);
  b = set_part(b, 16, 5, codes + 160);
  set_part(b, 4, 4, codes + 240);
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  search::encode_scaled<Levels, kN, 3>(kTQ1_0, 52, 0.8f, 6.0f, values, importance, b, n);
}

}  // namespace

const Codec kTQ1_0 = {Type::TQ1_0,    "TQ1_0",         kN,       kBytes, decode, encode, &kShape,
                      read_scale<52>, write_scale<52>, set_codes};

}  // namespace enxuto
