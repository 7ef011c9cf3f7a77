// F32, F16, BF16: a value a block. Integer types are known by size only.
#include "codecs/lanes.h"
#include "codecs/registry.h"

namespace enxuto {
namespace {

void decode_f32(const uint8_t* blocks, float* values, size_t n) {
  std::memcpy(values, blocks, n * 4);
}

void encode_f32(const float* values, const float*, uint8_t* blocks, size_t n) {
  std::memcpy(blocks, values, n * 4);
}

// Eight at a time, as f16_to_f32 does; n of eight. Compress reads all of a model by it.
ENXUTO_CLONES void decode_f16_lanes(const uint8_t* halves, float* values, size_t n) {
  using search::FloatLanes, search::IntLanes;
  using Halves = uint16_t __attribute__((vector_size(16)));
  for (size_t i = 0; i < n; i += 8) {
    Halves half;
    std::memcpy(&half, halves + 2 * i, sizeof half);
    const IntLanes bits = __builtin_convertvector(half, IntLanes), magnitude = bits & 0x7fff;
    const IntLanes rebias =
        magnitude >= 0x7c00 ? IntLanes{} + (224 << 23) : IntLanes{} + (112 << 23);
    const IntLanes normal = (magnitude << 13) + rebias;
    const FloatLanes subnormal = __builtin_convertvector(magnitude, FloatLanes) * 0x1p-24f;
    const IntLanes value = magnitude >= 0x400 ? normal : __builtin_bit_cast(IntLanes, subnormal);
    const IntLanes all = value | (bits & 0x8000) << 16;
    std::memcpy(values + i, &all, sizeof all);
  }
}

void decode_f16(const uint8_t* blocks, float* values, size_t n) {
  const size_t whole = n / 8 * 8;
  decode_f16_lanes(blocks, values, whole);
  for (size_t i = whole; i < n; ++i) values[i] = load_f16(blocks + 2 * i);
}

void encode_f16(const float* values, const float*, uint8_t* blocks, size_t n) {
  for (size_t i = 0; i < n; ++i) store_f16(blocks + 2 * i, values[i]);
}

void decode_bf16(const uint8_t* blocks, float* values, size_t n) {
  for (size_t i = 0; i < n; ++i) values[i] = bf16_to_f32(load_u16(blocks + 2 * i));
}

void encode_bf16(const float* values, const float*, uint8_t* blocks, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const uint16_t brain = f32_to_bf16(values[i]);
    std::memcpy(blocks + 2 * i, &brain, 2);
  }
}

}  // namespace

const Codec kF32 = {Type::F32, "F32", 1, 4, decode_f32, encode_f32};
const Codec kF16 = {Type::F16, "F16", 1, 2, decode_f16, encode_f16};
const Codec kBF16 = {Type::BF16, "BF16", 1, 2, decode_bf16, encode_bf16};
const Codec kI8 = {Type::I8, "I8", 1, 1, nullptr, nullptr};
const Codec kI16 = {Type::I16, "I16", 1, 2, nullptr, nullptr};
const Codec kI32 = {Type::I32, "I32", 1, 4, nullptr, nullptr};
const Codec kI64 = {Type::I64, "I64", 1, 8, nullptr, nullptr};
const Codec kF64 = {Type::F64, "F64", 1, 8, nullptr, nullptr};

}  // namespace enxuto
