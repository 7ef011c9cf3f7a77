// Music as notes in time: what a MIDI file holds, and what a model's events become.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <iterator>
#include <vector>

namespace enxuto {

inline constexpr uint8_t kDrums = 128;  // as an instrument; else a program of General MIDI

// Times are in ticks from the beginning.
struct Note {
  uint64_t start = 0, duration = 1;
  uint8_t instrument = 0, pitch = 60, velocity = 64;  // pitch: of drums which one; velocity ≥ 1
  auto operator<=>(const Note&) const = default;
};

struct TempoChange {
  uint64_t at = 0;
  uint32_t microseconds = 500'000;  // of a quarter note
  bool operator==(const TempoChange&) const = default;
};

struct MeterChange {
  uint64_t at = 0;
  uint32_t beats = 4, unit = 4;  // 6/8: 6, 8
  bool operator==(const MeterChange&) const = default;
};

// Each list is in the order of time. Before the first change it is 4/4 at 120 quarters a minute.
struct Song {
  uint32_t ticks_per_quarter = 480;
  std::vector<Note> notes;
  std::vector<TempoChange> tempi;
  std::vector<MeterChange> meters;
  bool operator==(const Song&) const = default;
};

// The last change that is not after `at`; `otherwise`: there is none.
template <class Change>
Change change_at(const std::vector<Change>& changes, uint64_t at, Change otherwise = {}) {
  const auto next = std::ranges::upper_bound(changes, at, {}, &Change::at);
  return next == changes.begin() ? otherwise : *std::prev(next);
}

}  // namespace enxuto
