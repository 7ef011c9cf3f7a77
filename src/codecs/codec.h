// Number formats. One file per format, one row in the registry; a row of a matrix is a whole number
// of blocks.
//
// Goals: decode bit-exact with the published formats; encode with a real, importance-weighted scale
// search; a format can tell its size before it encodes. Non-goal: speed of inference (kernels/
// computes on the blocks). Layouts: the GGUF specification and ggml's block definitions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace enxuto {

// The values are those of GGUF files.
enum class Type : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q8_1 = 9,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  Q8_K = 15,
  IQ2_XXS = 16,
  IQ2_XS = 17,
  IQ3_XXS = 18,
  IQ1_S = 19,
  IQ4_NL = 20,
  IQ3_S = 21,
  IQ2_S = 22,
  IQ4_XS = 23,
  I8 = 24,
  I16 = 25,
  I32 = 26,
  I64 = 27,
  F64 = 28,
  IQ1_M = 29,
  BF16 = 30,
  TQ1_0 = 34,
  TQ2_0 = 35,
  MXFP4 = 39,
  NVFP4 = 40,
  Q1_0 = 41,
  Q2_0 = 42,
};

// What a block can hold while its scales stay as they are:
//   value i = offset[g] + step[g] * (levels ? levels[code] : code),  g = i / group_values
// for any code in 0 … n_codes - 1 of each value.
struct BlockGrid {
  uint32_t n_codes, group_values;
  const float* levels;  // (n_codes), rising; null: the codes themselves
  float step[16], offset[16];
};

struct Codec {
  Type type;
  const char* name;       // as llama.cpp spells it: "Q4_K"
  uint32_t block_values;  // values in a block; a row's length is a multiple of it
  uint32_t block_bytes;
  // blocks -> values; n is a multiple of block_values. Null for types that hold no weights (I8 …
  // F64).
  void (*decode)(const uint8_t* blocks, float* values, size_t n);
  // values -> blocks, n (one row) a multiple of block_values. importance: n non-negative weights of
  // the squared errors, or null for all equal. Finite input expected. Null where we can decode
  // only.
  void (*encode)(const float* values, const float* importance, uint8_t* blocks, size_t n);
  // For choosing codes otherwise than each for itself (error feedback). Null where a code stands
  // for several values, or where there is no encoder.
  void (*grid)(const uint8_t* block, BlockGrid& grid) = nullptr;
  void (*set_codes)(const uint8_t* codes, uint8_t* block) = nullptr;  // scales stay

  double bits_per_weight() const { return 8.0 * block_bytes / block_values; }
  uint64_t row_bytes(uint64_t n) const { return n / block_values * block_bytes; }
};

// Null for a type we do not know.
const Codec* find_codec(Type type);
const Codec* find_codec(std::string_view name);  // case does not matter
std::span<const Codec* const> all_codecs();

}  // namespace enxuto
