// The grid of music_events.h: which lengths, meters, tempi and velocities there are.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace enxuto {

inline constexpr std::array<uint32_t, 31> kDurations = {
    1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 14, 15,  16, 18,
    20, 21, 24, 27, 30, 33, 36, 42, 48, 54, 60, 72, 96, 144, 192};  // steps
inline constexpr uint32_t kTempi = 25, kVelocities = 8;
inline constexpr uint32_t kSlowest = 30;  // quarters a minute

struct Meter {
  uint32_t beats, unit;
  constexpr uint32_t steps() const { return beats * 48 / unit; }
};
inline constexpr std::array<Meter, 23> kMeters = {{{4, 4}, {1, 4}, {2, 4},  {3, 4},  {5, 4}, {6, 4},
                                                   {7, 4}, {8, 4}, {2, 2},  {3, 2},  {4, 2}, {1, 8},
                                                   {2, 8}, {3, 8}, {4, 8},  {5, 8},  {6, 8}, {7, 8},
                                                   {8, 8}, {9, 8}, {10, 8}, {11, 8}, {12, 8}}};

// The longest that is no longer than `steps`, at least one step.
inline uint32_t duration_within(uint64_t steps) {
  const auto after = std::upper_bound(kDurations.begin(), kDurations.end(), steps);
  return after == kDurations.begin() ? kDurations[0] : *std::prev(after);
}
// The nearest one; of two the shorter.
inline uint32_t nearest_duration(uint64_t steps) {
  const auto above = std::lower_bound(kDurations.begin(), kDurations.end(), steps);
  if (above == kDurations.begin()) return *above;
  if (above == kDurations.end()) return kDurations.back();
  const uint32_t below = *std::prev(above);
  return steps - below <= *above - steps ? below : *above;
}

// Microseconds of a quarter.
uint32_t tempo_of(uint32_t index);
uint32_t nearest_tempo(double quarters_a_minute);
inline uint8_t velocity_of(uint32_t index) { return static_cast<uint8_t>(16 * index + 8); }

}  // namespace enxuto
