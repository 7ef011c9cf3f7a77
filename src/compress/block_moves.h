// Moves inside one block of one row, all other blocks as they are, that lower the loss e' H e: a
// code at a time, the points of eight values, the scales for given codes.
#pragma once

#include "codecs/codec.h"

namespace enxuto {

inline constexpr int64_t kMostBlock = 256;

// n values of a row: what they should be, how far off they are, and how the loss answers.
struct BlockView {
  const float* h;  // (n, n), rows kMostBlock floats apart: H at these columns
  int64_t n;
  const float* w;  // the weights
  float* e;        // w less what is stored
  float* g;        // the gradient e' H
  float* moved;    // by how much what is stored has grown; the caller hands it on to other blocks
};

// Values [begin, begin + n) of what is stored grow by `steps`.
void move_values(const BlockView& view, int64_t begin, int64_t n, const float* steps);

// The code whose value is nearest, of all in the group.
int nearest_code(const BlockShape& shape, const BlockGrid& grid, size_t group, float value);
float value_of(const BlockShape& shape, const BlockGrid& grid, size_t group, int code);

// Which values a block holds: all of them, or those of its bitmap. Others stay zeros.
class Present {
 public:
  Present(const Codec& codec, const uint8_t* block)
      : all_(!codec.present), bitmap_(all_ ? 0 : codec.present(block)) {}
  bool operator[](int64_t i) const { return all_ || bitmap_ >> i & 1; }

 private:
  bool all_;
  uint32_t bitmap_;
};
int code_of_zero(const BlockShape& shape);
// What is zero is not to become anything else.
void keep_zeros(const float* weights, int64_t n, float* targets);

// Least squares of the scales under H, codes as they are, on the grid that the format has for
// scales; each of them is kept only where the loss falls.
void refit_scales(const Codec& codec, const BlockView& view, uint8_t* block);

// Each code in turn goes to where the loss is least. For formats with set_codes.
void move_codes(const Codec& codec, const BlockView& view, uint8_t* block);

}  // namespace enxuto
