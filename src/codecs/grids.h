// The codebooks of the IQ1, IQ2 and IQ3 formats, packed: one number is one point of a grid, and
// coordinate i is the level whose index lies in its bits w i … (w = 2 for the eight coordinates of
// IQ1 and IQ2, 3 for the four of IQ3). Facts of the formats; grid_points.h is made by
// tools/make_grids.py. Constant data: nothing is expanded at start-up or later.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "codecs/grid_points.h"

namespace enxuto {

inline constexpr float kIq2Levels[4] = {8, 25, 43, 0};  // the grids never use the fourth
inline constexpr float kIq1Levels[4] = {-1, 0, 1, 0};   // of which the fourth is not used either
inline constexpr float kIq1Shift = 0.125f;
inline constexpr float kIq3XxsLevels[8] = {4, 12, 20, 28, 36, 44, 52, 62};
inline constexpr float kIq3SLevels[8] = {1, 3, 5, 7, 9, 11, 13, 15};

// What the scales of sub-blocks stand for, in units of d.
struct OddUnits {
  float of[16];
  constexpr explicit OddUnits(float unit) : of{} {
    for (int i = 0; i < 16; ++i) of[i] = unit * static_cast<float>(2 * i + 1);
  }
};
inline constexpr OddUnits kWholeUnits{1}, kQuarterUnits{0.25f}, kEighthUnits{0.125f};

// Eight signs (1: minus) out of seven stored bits: the eighth makes the number of minuses even.
constexpr uint32_t even_signs(uint32_t seven_bits) {
  return seven_bits | static_cast<uint32_t>(std::popcount(seven_bits) & 1) << 7;
}

// values[i] = scale * level of coordinate i, minus where bit i of `signs` is set.
template <int kCoordinates, size_t kLevels>
void decode_point(uint32_t point, const float (&levels)[kLevels], float scale, uint32_t signs,
                  float* values) {
  constexpr int kWidth = std::countr_zero(kLevels);
  for (int i = 0; i < kCoordinates; ++i) {
    const float magnitude = scale * levels[point >> kWidth * i & (kLevels - 1)];
    values[i] = signs >> i & 1 ? -magnitude : magnitude;
  }
}

// IQ1: no signs; the whole point is shifted by an eighth, up or down.
inline void decode_iq1_point(uint32_t point, float scale, bool down, float* values) {
  const float shift = down ? -kIq1Shift : kIq1Shift;
  for (int i = 0; i < 8; ++i)
    values[i] = scale * (static_cast<float>(static_cast<int>(point >> 2 * i & 3) - 1) + shift);
}

}  // namespace enxuto
