// The 16-level tables of the 4-bit codebook formats in rising order, and where each level's code
// lies.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "codecs/lanes.h"
#include "codecs/level_values.h"

namespace enxuto {

// IQ4_NL, IQ4_XS: code = index.
inline constexpr float kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};
static_assert(std::equal(kIq4Levels, kIq4Levels + 16, kIq4Values));
// MXFP4 (and NVFP4): E2M1 doubled, rising; code 0 … 7 are 0 … 12, codes 8 … 15 their negatives (8:
// minus zero).
inline constexpr float kE2m1Levels[16] = {-12, -8, -6, -4, -3, -2, -1, 0, 0, 1, 2, 3, 4, 6, 8, 12};

// The nearest of kE2m1Levels, by the step that they have there: 1 below 4, 2 below 8, then 4.
struct E2m1 {
  static ENXUTO_INLINE float nearest(float x) {
    const float a = std::fabs(x), magnitude = a < 12.0f ? a : 12.0f;
    const float step = magnitude < 4.0f ? 1.0f : magnitude < 8.0f ? 2.0f : 4.0f;
    const float per_step = magnitude < 4.0f ? 1.0f : magnitude < 8.0f ? 0.5f : 0.25f;
    return std::copysign(search::round_even(magnitude * per_step) * step, x);
  }
  static ENXUTO_INLINE int code(float x) {  // place in rising order
    int index = 0;
    for (int i = 0; i < 15; ++i) index += x > 0.5f * (kE2m1Levels[i] + kE2m1Levels[i + 1]) ? 1 : 0;
    return index;
  }
};

// The format's code of a level's place in rising order.
inline int e2m1_code(int index) { return index > 7 ? index - 8 : index < 7 ? 15 - index : 0; }

}  // namespace enxuto
