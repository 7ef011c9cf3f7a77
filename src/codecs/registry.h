// Internal: the formats, each defined in its own file, and helpers that their blocks share.
#pragma once

#include <cstring>

#include "base/float16.h"
#include "codecs/codec.h"

namespace enxuto {

extern const Codec kF32, kF16, kBF16, kI8, kI16, kI32, kI64, kF64;
extern const Codec kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ2_0, kIQ4_NL, kMXFP4;
extern const Codec kQ2_K, kQ3_K, kQ4_K, kQ5_K, kQ6_K, kIQ4_XS;
extern const Codec kIQ1_S, kIQ1_M, kIQ2_XXS, kIQ2_XS, kIQ2_S, kIQ3_XXS, kIQ3_S;
extern const Codec kTQ1_0, kTQ2_0, kNVFP4, kQ1_0;
extern const Codec kSF16, kSQ8_0, kSQ4_NL;

inline uint16_t load_u16(const uint8_t* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

inline uint32_t load_u32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

inline void store_u16(uint8_t* bytes, uint16_t value) { std::memcpy(bytes, &value, sizeof value); }
inline void store_u32(uint8_t* bytes, uint32_t value) { std::memcpy(bytes, &value, sizeof value); }

inline float load_f16(const uint8_t* bytes) { return f16_to_f32(load_u16(bytes)); }

// A scale as the file will hold it: finite whatever it was.
inline float store_f16(uint8_t* bytes, float value) {
  constexpr float kMax = 65504.0f;
  value = value > -kMax ? (value < kMax ? value : kMax) : -kMax;
  const uint16_t half = f32_to_f16(value);
  std::memcpy(bytes, &half, sizeof half);
  return f16_to_f32(half);
}

// Blocks whose only scale is an f16, kAt bytes from their beginning.
template <int kAt>
void read_scale(const uint8_t* b, BlockScales& scales) {
  scales.d = load_f16(b + kAt), scales.a[0] = 1;
}
template <int kAt>
void write_scale(const BlockScales& scales, uint8_t* b) {
  store_f16(b + kAt, scales.d);
}

}  // namespace enxuto
