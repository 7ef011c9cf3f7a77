#include "media/music_grid.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "media/midi_file.h"
#include "media/music_events.h"

namespace enxuto {
namespace {

uint64_t steps_of(uint64_t ticks, uint32_t ticks_per_quarter) {
  return (ticks * 2 * kSteps + ticks_per_quarter) / (2 * uint64_t{ticks_per_quarter});
}

// One of those that there are: the same, else one as long, else one as long in whole quavers.
MeterChange known_meter(const MeterChange& meter) {
  const uint32_t steps = 48 * meter.beats / meter.unit;
  for (const Meter& each : kMeters)
    if (each.beats == meter.beats && each.unit == meter.unit) return meter;
  for (const uint32_t wanted : {steps, steps / 6 * 6})
    for (const Meter& each : kMeters)
      if (each.steps() == wanted) return {meter.at, each.beats, each.unit};
  return {meter.at, kMeters[0].beats, kMeters[0].unit};
}

// A note's order among those of its time: music_events.h.
auto order_of(const Note& note) {
  const bool drum = note.instrument == kDrums;
  return std::tuple(note.start, note.instrument, drum ? note.pitch : 127 - note.pitch);
}

// Only the instruments with the most notes, kMostInstruments of them beside drums.
void leave_out_instruments(std::vector<Note>& notes) {
  std::map<uint8_t, size_t> counts;
  for (const Note& note : notes)
    if (note.instrument != kDrums) counts[note.instrument]++;
  while (counts.size() > kMostInstruments) {
    const auto least =
        std::ranges::min_element(counts, {}, [](const auto& each) { return each.second; });
    std::erase_if(notes, [&](const Note& note) { return note.instrument == least->first; });
    counts.erase(least);
  }
}

// In order; one of those that begin together, cut where the same pitch begins again.
void part_notes(std::vector<Note>& notes) {
  std::ranges::sort(notes, [](const Note& a, const Note& b) {
    return std::tuple(order_of(a), b.duration, b.velocity) <
           std::tuple(order_of(b), a.duration, a.velocity);
  });
  const auto [first, last] = std::ranges::unique(
      notes, [](const Note& a, const Note& b) { return order_of(a) == order_of(b); });
  notes.erase(first, last);
  std::map<std::pair<uint8_t, uint8_t>, Note*> before;
  for (Note& note : notes) {
    if (note.instrument == kDrums) continue;
    Note*& earlier = before[{note.instrument, note.pitch}];
    if (earlier && earlier->start + earlier->duration > note.start)
      earlier->duration = duration_within(note.start - earlier->start);
    earlier = &note;
  }
}

void place_notes(const Song& song, Song& grid) {
  for (Note note : song.notes) {
    const uint64_t end = steps_of(note.start + note.duration, song.ticks_per_quarter);
    note.start = steps_of(note.start, song.ticks_per_quarter);
    note.duration = note.instrument == kDrums ? 1 : nearest_duration(end - note.start);
    note.velocity = velocity_of(note.velocity / 16);
    grid.notes.push_back(note);
  }
  leave_out_instruments(grid.notes);
  part_notes(grid.notes);
}

// Meters and tempi at the bars where they change.
Status place_bars(const Song& song, Song& grid) {
  const uint64_t last = grid.notes.back().start;
  uint64_t at = 0;
  for (uint64_t bar = 0; at <= last; ++bar) {
    if (bar == kMostBars) return Status::bad_input(fmt::format("more than {} bars", kMostBars));
    const uint64_t tick = (at * song.ticks_per_quarter + kSteps - 1) / kSteps;
    MeterChange meter = known_meter(change_at(song.meters, tick));
    const TempoChange tempo = change_at(song.tempi, tick);
    meter.at = at;
    if (bar == 0 || meter.beats != grid.meters.back().beats ||
        meter.unit != grid.meters.back().unit)
      grid.meters.push_back(meter);
    const uint32_t us = tempo_of(nearest_tempo(60e6 / tempo.microseconds));
    if (bar == 0 || us != grid.tempi.back().microseconds) grid.tempi.push_back({at, us});
    at += meter.beats * 48 / meter.unit;
  }
  return {};
}

}  // namespace

uint32_t nearest_tempo(double quarters_a_minute) {
  const double index = std::round(8 * std::log2(quarters_a_minute / kSlowest));
  return static_cast<uint32_t>(std::clamp(index, 0.0, kTempi - 1.0));
}

uint32_t tempo_of(uint32_t index) {
  return static_cast<uint32_t>(std::lround(60e6 / (kSlowest * std::exp2(index / 8.0))));
}

uint32_t bar_steps(uint32_t meter) { return kMeters[meter].steps(); }

Song in_fine_ticks(Song song) {
  constexpr uint32_t kTicks = 480, kTimes = kTicks / kSteps;
  song.ticks_per_quarter = kTicks;
  for (Note& note : song.notes) note.start *= kTimes, note.duration *= kTimes;
  for (MeterChange& each : song.meters) each.at *= kTimes;
  for (TempoChange& each : song.tempi) each.at *= kTimes;
  return song;
}

Result<Song> on_grid(const Song& song) {
  Song grid;
  grid.ticks_per_quarter = kSteps;
  if (song.notes.empty()) return grid;
  place_notes(song, grid);
  TRY(place_bars(song, grid));
  return grid;
}

}  // namespace enxuto
