#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "media/midi_file.h"

namespace enxuto {
namespace {

constexpr int kChannels = 16, kDrumChannel = 9;

// Bytes with their place in the file.
class Bytes {
 public:
  Bytes(ByteView all, size_t at, size_t end) : all_(all), at_(at), end_(end) {}

  size_t at() const { return at_; }
  size_t left() const { return end_ - at_; }
  Status broken(const std::string& why) const { return broken(at_, why); }
  static Status broken(size_t at, const std::string& why) {
    return Status::bad_input(fmt::format("byte {}: {}", at, why));
  }

  Result<uint8_t> next() {
    if (at_ == end_) return broken("cut off in the middle of an event");
    return all_[at_++];
  }
  void back() { --at_; }
  Result<uint8_t> data() {  // below 128
    ASSIGN_OR_RETURN(const uint8_t value, next());
    if (value < 0x80) return value;
    return broken(at_ - 1, fmt::format("{:#04x} where a number below 128 belongs", value));
  }
  Result<uint32_t> number(size_t n_bytes) {  // big-endian
    if (left() < n_bytes) return broken("cut off");
    uint32_t value = 0;
    for (; n_bytes > 0; --n_bytes) value = value << 8 | all_[at_++];
    return value;
  }
  Result<uint32_t> variable() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      ASSIGN_OR_RETURN(const uint8_t byte, next());
      value = value << 7 | (byte & 0x7F);
      if (byte < 0x80) return value;
    }
    return broken("a number of variable length has more than four bytes");
  }
  Result<Bytes> part(uint64_t n_bytes, const char* what) {
    if (n_bytes > left())
      return broken(
          fmt::format("cut off: {} says it has {} bytes, and {} are left", what, n_bytes, left()));
    at_ += n_bytes;
    return Bytes(all_, at_ - n_bytes, at_);
  }

 private:
  ByteView all_;
  size_t at_, end_;
};

struct ProgramChange {
  uint64_t at;
  uint8_t program;
};

class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes, 0, bytes.size()) {}

  Result<Song> read() {
    TRY(read_header());
    for (uint32_t track = 1; track <= n_tracks_; ++track)
      TRY(read_chunk(track).in(fmt::format("track {}", track)));
    finish();
    return std::move(song_);
  }

 private:
  Status read_header();
  Status read_division(uint32_t division);
  Status read_chunk(uint32_t track);
  Status read_track(Bytes& track);
  Status read_event(Bytes& track);
  Status read_channel_event(uint8_t status, Bytes& track);
  Status read_meta(Bytes& track);
  Status read_tempo(Bytes meta);
  Status read_meter(Bytes meta);
  void begin_note(uint8_t channel, uint8_t pitch, uint8_t velocity);
  void end_note(uint8_t channel, uint8_t pitch);
  void finish();

  Bytes bytes_;
  Song song_;  // the instrument of a note is its channel, until the end
  std::array<std::vector<ProgramChange>, kChannels> programs_;
  uint32_t format_ = 0, n_tracks_ = 0, tick_ = 1;  // in ticks of song_
  bool of_seconds_ = false;
  // Of the track:
  uint64_t begin_ = 0, now_ = 0;
  uint8_t running_ = 0;
  bool ended_ = false;
  std::array<std::array<uint32_t, 128>, kChannels> sounding_{};  // index of a note + 1; 0: none
};

Status Reader::read_header() {
  constexpr uint32_t kHeader = 0x4D546864;  // "MThd"
  if (const auto name = bytes_.number(4); !name.ok() || *name != kHeader)
    return Status::bad_input("byte 0: no MIDI file (it does not begin with MThd)");
  ASSIGN_OR_RETURN(const uint32_t size, bytes_.number(4));
  if (size < 6) return bytes_.broken(fmt::format("a header of {} bytes, 6 are the least", size));
  ASSIGN_OR_RETURN(Bytes header, bytes_.part(size, "the header"));
  ASSIGN_OR_RETURN(format_, header.number(2));
  ASSIGN_OR_RETURN(n_tracks_, header.number(2));
  if (format_ > 2) return Bytes::broken(8, fmt::format("unknown format {}", format_));
  if (n_tracks_ == 0) return Bytes::broken(10, "no tracks");
  ASSIGN_OR_RETURN(const uint32_t division, header.number(2));
  return read_division(division);
}

// Ticks of a quarter; or, from 0x8000 on, frames of a second (negative) and ticks of a frame.
Status Reader::read_division(uint32_t division) {
  of_seconds_ = division >= 0x8000;
  if (of_seconds_) {
    const uint32_t frames = 256 - (division >> 8);
    if (frames != 24 && frames != 25 && frames != 29 && frames != 30)
      return Bytes::broken(
          12, fmt::format("{} frames in a second; 24, 25, 29 and 30 are known", frames));
    division = (frames == 29 ? 30 : frames) * (division & 0xFF);
    tick_ = 2;  // half a second is a quarter
  }
  if (division == 0) return Bytes::broken(12, "a quarter note has no ticks (division of zero)");
  song_.ticks_per_quarter = division;
  return {};
}

// The next track's, with those before it that are no track.
Status Reader::read_chunk(uint32_t track) {
  constexpr uint32_t kTrack = 0x4D54726B;  // "MTrk"
  for (;;) {
    if (bytes_.left() < 8)
      return bytes_.broken(fmt::format("cut off: the header says {} tracks, and {} are there",
                                       n_tracks_, track - 1));
    ASSIGN_OR_RETURN(const uint32_t name, bytes_.number(4));
    ASSIGN_OR_RETURN(const uint32_t size, bytes_.number(4));
    ASSIGN_OR_RETURN(Bytes chunk, bytes_.part(size, name == kTrack ? "the track" : "a chunk"));
    if (name == kTrack) return read_track(chunk);
  }
}

Status Reader::read_track(Bytes& track) {
  now_ = begin_, running_ = 0, ended_ = false;
  const size_t first = song_.notes.size();
  while (!ended_ && track.left() > 0) TRY(read_event(track));
  for (int channel = 0; first < song_.notes.size() && channel < kChannels; ++channel)
    for (int pitch = 0; pitch < 128; ++pitch)
      end_note(static_cast<uint8_t>(channel), static_cast<uint8_t>(pitch));
  if (format_ == 2) begin_ = now_;
  return {};
}

Status Reader::read_event(Bytes& track) {
  ASSIGN_OR_RETURN(const uint32_t delta, track.variable());
  now_ += uint64_t{delta} * tick_;
  ASSIGN_OR_RETURN(const uint8_t status, track.next());
  if (status == 0xFF) return read_meta(track);
  if (status == 0xF0 || status == 0xF7) {
    ASSIGN_OR_RETURN(const uint32_t size, track.variable());
    return track.part(size, "a system message").status();
  }
  track.back();
  if (status > 0xF0) return track.broken(fmt::format("{:#04x} is no event of a file", status));
  if (status < 0x80 && running_ == 0) return track.broken("data without an event before it");
  if (status >= 0x80) running_ = *track.next();
  return read_channel_event(running_, track);
}

Status Reader::read_channel_event(uint8_t status, Bytes& track) {
  const uint8_t kind = status >> 4, channel = status & 15;
  ASSIGN_OR_RETURN(const uint8_t first, track.data());
  if (kind == 0xC) programs_[channel].push_back({now_, first});
  if (kind == 0xC || kind == 0xD) return {};
  ASSIGN_OR_RETURN(const uint8_t second, track.data());
  if (kind == 0x8 || kind == 0x9) end_note(channel, first);
  if (kind == 0x9 && second > 0) begin_note(channel, first, second);
  return {};
}

void Reader::begin_note(uint8_t channel, uint8_t pitch, uint8_t velocity) {
  song_.notes.push_back({now_, 1, channel, pitch, velocity});
  sounding_[channel][pitch] = static_cast<uint32_t>(song_.notes.size());
}

void Reader::end_note(uint8_t channel, uint8_t pitch) {
  uint32_t& sounding = sounding_[channel][pitch];
  if (sounding == 0) return;
  Note& note = song_.notes[sounding - 1];
  note.duration = std::max<uint64_t>(1, now_ - note.start);
  sounding = 0;
}

Status Reader::read_meta(Bytes& track) {
  ASSIGN_OR_RETURN(const uint8_t kind, track.next());
  ASSIGN_OR_RETURN(const uint32_t size, track.variable());
  ASSIGN_OR_RETURN(const Bytes meta, track.part(size, "a meta event"));
  if (kind == 0x2F) ended_ = true;
  if (kind == 0x51 && !of_seconds_) return read_tempo(meta);
  if (kind == 0x58) return read_meter(meta);
  return {};
}

Status Reader::read_tempo(Bytes meta) {
  const size_t at = meta.at();
  if (meta.left() != 3) return meta.broken("a tempo has three bytes");
  const uint32_t microseconds = *meta.number(3);
  if (microseconds == 0) return Bytes::broken(at, "a tempo of zero");
  song_.tempi.push_back({now_, microseconds});
  return {};
}

Status Reader::read_meter(Bytes meta) {
  const size_t at = meta.at();
  if (meta.left() < 2) return meta.broken("a time signature has two bytes at least");
  const uint8_t beats = *meta.next(), power = *meta.next();
  if (beats == 0 || power > 7)
    return Bytes::broken(
        at, fmt::format("a time signature of {} beats, and a unit of 2^{}", beats, power));
  song_.meters.push_back({now_, beats, 1u << power});
  return {};
}

// Channels become instruments, and all is put in order: tracks came one after the other.
void Reader::finish() {
  const auto earlier = [](const auto& a, const auto& b) { return a.at < b.at; };
  for (auto& changes : programs_) std::ranges::stable_sort(changes, earlier);
  for (Note& note : song_.notes) {
    const auto& changes = programs_[note.instrument];
    const auto next = std::ranges::upper_bound(changes, note.start, {}, &ProgramChange::at);
    const uint8_t program = next == changes.begin() ? 0 : std::prev(next)->program;
    note.instrument = note.instrument == kDrumChannel ? kDrums : program;
  }
  std::ranges::stable_sort(song_.tempi, earlier);
  std::ranges::stable_sort(song_.meters, earlier);
  std::ranges::sort(song_.notes);
}

}  // namespace

Result<Song> parse_midi(ByteView bytes) { return Reader(bytes).read(); }

Result<Song> read_midi(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, read_text_file(path, kMostMidiBytes));
  auto song = parse_midi({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  if (!song.ok()) return song.status().in(path);
  return song;
}

}  // namespace enxuto
