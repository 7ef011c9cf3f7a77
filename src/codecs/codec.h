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

// The values are those of GGUF files. From 65536 on they are enxuto's own, which no other program
// reads: matrices whose zeros are not stored (sparse_block.h), written only where they are asked
// for.
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
  SF16 = 65536,
  SQ8_0 = 65537,
  SQ4_NL = 65538,
};

// How the scales of a format's blocks are stored, and what a code means:
//   value i = step[g] * (level(code) + zero) + offset[g],  g = i / group_values
//   step[g] = d * unit(a[g]), offset[g] = low * b[g];  level and unit: by the table, or as they are
// d and low are f16 numbers, a and b integers.
struct BlockShape {
  uint32_t n_codes;  // of one value: 0 … n_codes - 1
  uint32_t group_values;
  float zero = 0;
  const float* levels = nullptr;  // (n_codes), rising
  int least = 1, most = 1;        // a; where they are equal, d is the scale
  int most_low = 0;               // b is 0 … most_low; 0: the format has no minima
  const float* units = nullptr;   // (most + 1)
  bool fixed_d = false;           // d is 1, and not stored
};

struct BlockScales {
  float d = 1, low = 0;
  int a[16] = {1}, b[16] = {};
};

// What a block can hold while its scales stay as they are.
struct BlockGrid {
  float step[16], offset[16];  // zero included
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
  // For choosing codes and scales otherwise than each block for itself (error feedback). Null where
  // there is no encoder; a format has set_codes, or set_points where a code stands for several
  // values.
  const BlockShape* shape = nullptr;
  void (*scales)(const uint8_t* block, BlockScales& scales) = nullptr;
  void (*set_scales)(const BlockScales& scales, uint8_t* block) = nullptr;  // codes stay
  void (*set_codes)(const uint8_t* codes, uint8_t* block) = nullptr;        // scales stay
  // Of at most eight rows' blocks, values 8 e … 8 e + 7: sets the points that are nearest to the
  // targets under the weights (8), scales stay. steps (8 rows); targets, and the values then
  // stored: (8, 8 rows).
  void (*set_points)(int e, const float* steps, const float* targets, const float* weights,
                     int n_rows, uint8_t* const* blocks, float* values) = nullptr;
  // One block's scales alone, within some percent of encode's in half its time: for who sets all
  // points anew. Formats that have set_points have it.
  void (*choose_scales)(const float* values, const float* importance, uint8_t* block) = nullptr;
  // Where a block holds some of its values only: bit i for value i, the others are zeros. Of these
  // formats set_codes takes as many codes of values that are not zero as there is room for.
  uint32_t (*present)(const uint8_t* block) = nullptr;

  double bits_per_weight() const { return 8.0 * block_bytes / block_values; }
  uint64_t row_bytes(uint64_t n) const { return n / block_values * block_bytes; }
};

BlockGrid grid_of(const Codec& codec, const BlockScales& scales);

// Null for a type we do not know.
const Codec* find_codec(Type type);
const Codec* find_codec(std::string_view name);  // case does not matter
std::span<const Codec* const> all_codecs();

}  // namespace enxuto
