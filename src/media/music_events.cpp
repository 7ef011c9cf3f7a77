#include "media/music_events.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "media/music_grid.h"

namespace enxuto {
namespace {

constexpr std::array<uint32_t, static_cast<size_t>(Event::kNone)> kCounts = {
    2,           1,   1,   kMeters.size(),   kTempi, kMostBarSteps, kDrums,
    kVelocities, 128, 128, kDurations.size()};

uint32_t first_of(Event event) {
  uint32_t first = 0;
  for (size_t i = 0; i < static_cast<size_t>(event); ++i) first += kCounts[i];
  return first;
}

uint32_t duration_index(uint64_t steps) {
  const auto found = std::ranges::lower_bound(kDurations, steps);
  return static_cast<uint32_t>(found - kDurations.begin());
}

uint32_t meter_index(const MeterChange& meter) {
  const auto same = [&](const Meter& each) {
    return each.beats == meter.beats && each.unit == meter.unit;
  };
  return static_cast<uint32_t>(std::ranges::find_if(kMeters, same) - kMeters.begin());
}

uint32_t tempo_index(const TempoChange& tempo) { return nearest_tempo(60e6 / tempo.microseconds); }

// Notes and bars into tokens.
class Encoder {
 public:
  Encoder(const MusicTokens& tokens, const Song& song, int shift)
      : tokens_(tokens), song_(song), shift_(shift) {}

  std::vector<Token> encode(bool minor, bool whole) {
    add(Event::kMode, minor);
    const uint64_t last = song_.notes.back().start;
    for (uint64_t at = 0; at <= last;) {
      const uint32_t meter = meter_index(change_at(song_.meters, at));
      const uint64_t end = at + bar_steps(meter);
      add(whole && end > last ? Event::kFinalBar : Event::kBar);
      say(Event::kMeter, meter_, meter);
      say(Event::kTempo, tempo_, tempo_index(change_at(song_.tempi, at)));
      add_notes(at, end);
      at = end;
    }
    return std::move(out_);
  }

 private:
  void add(Event event, uint32_t index = 0) { out_.push_back(tokens_.token(event, index)); }
  void say(Event event, int64_t& said, uint32_t value) {
    if (said != value) add(event, value);
    said = value;
  }
  void add_notes(uint64_t bar, uint64_t end) {
    int64_t position = -1;
    for (; next_ < song_.notes.size() && song_.notes[next_].start < end; ++next_) {
      const Note& note = song_.notes[next_];
      say(Event::kPosition, position, static_cast<uint32_t>(note.start - bar));
      add_note(note);
    }
  }
  void add_note(const Note& note) {
    const bool drum = note.instrument == kDrums;
    if (!drum) say(Event::kInstrument, instrument_, note.instrument);
    say(Event::kVelocity, velocity_, note.velocity / 16);
    if (drum) return add(Event::kDrum, note.pitch);
    add(Event::kPitch, moved_pitch(note.pitch, shift_));
    add(Event::kDuration, duration_index(note.duration));
  }

  const MusicTokens& tokens_;
  const Song& song_;
  int shift_;
  size_t next_ = 0;
  int64_t meter_ = -1, tempo_ = -1, instrument_ = -1, velocity_ = -1;
  std::vector<Token> out_;
};

// Tokens into notes and bars.
class Decoder {
 public:
  explicit Decoder(int tonic) : tonic_(tonic) {}

  void take(Event event, uint32_t index) {
    switch (event) {
      case Event::kMode:
        shift_ = -shift_to_c({tonic_, index == 1});
        break;
      case Event::kBar:
      case Event::kFinalBar:
        bar_ = end_;
        end_ = bar_ + bar_steps(meter_);
        break;
      case Event::kMeter:
        meter_ = index;
        end_ = bar_ + bar_steps(meter_);
        song_.meters.push_back({bar_, kMeters[index].beats, kMeters[index].unit});
        break;
      case Event::kTempo:
        song_.tempi.push_back({bar_, tempo_of(index)});
        break;
      case Event::kPosition:
        note_.start = bar_ + index;
        break;
      default:
        take_note(event, index);
    }
  }
  Song song() && { return std::move(song_); }

 private:
  void take_note(Event event, uint32_t index) {
    if (event == Event::kInstrument) note_.instrument = static_cast<uint8_t>(index);
    if (event == Event::kVelocity) note_.velocity = velocity_of(index);
    if (event == Event::kPitch) note_.pitch = moved_pitch(static_cast<uint8_t>(index), shift_);
    if (event == Event::kDuration) {
      note_.duration = kDurations[index];
      song_.notes.push_back(note_);
    }
    if (event == Event::kDrum)
      song_.notes.push_back({note_.start, 1, kDrums, static_cast<uint8_t>(index), note_.velocity});
  }

  int tonic_, shift_ = 0;
  uint64_t bar_ = 0, end_ = 0;
  uint32_t meter_ = 0;
  Note note_;
  Song song_ = {.ticks_per_quarter = kSteps, .notes = {}, .tempi = {}, .meters = {}};
};

}  // namespace

std::vector<std::string> event_names() {
  std::vector<std::string> names = {"<major>", "<minor>", "<bar>", "<final bar>"};
  for (const Meter& meter : kMeters)
    names.push_back(fmt::format("<meter {}/{}>", meter.beats, meter.unit));
  for (uint32_t i = 0; i < kTempi; ++i)
    names.push_back(fmt::format("<tempo {:.0f}>", kSlowest * std::exp2(i / 8.0)));
  const auto add = [&](const char* name, uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) names.push_back(fmt::format("<{} {}>", name, i));
  };
  add("position", kMostBarSteps);
  add("instrument", kDrums);
  add("velocity", kVelocities);
  add("pitch", 128);
  add("drum", 128);
  for (const uint32_t each : kDurations) names.push_back(fmt::format("<duration {}>", each));
  return names;
}

uint32_t MusicTokens::count(Event event) { return kCounts[static_cast<size_t>(event)]; }

Token MusicTokens::token(Event event, uint32_t index) const {
  return first_ + static_cast<Token>(first_of(event) + index);
}

Event MusicTokens::event(Token token) const {
  if (token < first_) return Event::kNone;
  for (size_t i = 0; i < kCounts.size(); ++i)
    if (token < end(static_cast<Event>(i))) return static_cast<Event>(i);
  return Event::kNone;
}

std::vector<Token> encode_music(const MusicTokens& tokens, const Song& song, Key key, bool whole) {
  return Encoder(tokens, song, shift_to_c(key)).encode(key.minor, whole);
}

Result<Song> decode_music(const MusicTokens& tokens, std::span<const Token> piece, int tonic) {
  Decoder decoder(tonic);
  for (const Token token : piece)
    if (const Event event = tokens.event(token); event != Event::kNone)
      decoder.take(event, tokens.index(token));
  // What the grammar allows may overlap, and end in empty bars.
  return on_grid(std::move(decoder).song());
}

}  // namespace enxuto
