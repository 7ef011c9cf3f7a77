// The same where a code stands for eight values (or two of them do): the points of a grid. Eight
// rows go side by side, as the search does (Codec::set_points).
#pragma once

#include "codecs/codec.h"

namespace enxuto {

inline constexpr int kPointRows = 8;

// A block of each row: the weights, what is to be rounded or later the gradient, what is off.
struct PointRows {
  int n;
  const float* w[kPointRows];
  float *t[kPointRows], *e[kPointRows];
  uint8_t* blocks[kPointRows];
};

// Rounds eight columns after the other at the blocks' scales, errors handed to the columns that
// follow. u: rows of U, from the block's corner on; d: what is left of each column's energy.
void feed_back_points(const Codec& codec, const float* u, int64_t u_stride, const float* d,
                      const PointRows& rows);

// Each point in turn goes to where the loss is less, t being the gradient. h: H at these columns,
// rows kMostBlock floats apart; moved: (rows, block), as in BlockView.
void move_points(const Codec& codec, const float* h, const PointRows& rows, float* moved);

}  // namespace enxuto
