#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <tuple>

#include "media/midi_file.h"

namespace enxuto {
namespace {

void add_number(std::string& out, uint32_t value, int n_bytes) {
  for (int i = n_bytes - 1; i >= 0; --i) out += static_cast<char>(value >> 8 * i & 0xFF);
}

void add_variable(std::string& out, uint64_t value) {
  int n = 1;
  while (n < 4 && value >> 7 * n) ++n;
  for (int i = n - 1; i >= 0; --i)
    out += static_cast<char>((value >> 7 * i & 0x7F) | (i > 0 ? 0x80 : 0));
}

// Events at any times, then bytes in their order: at one time ends of notes before their
// beginnings.
class Track {
 public:
  void add(uint64_t at, int rank, std::string event) {
    events_.insert({at, rank, std::move(event)});
  }
  void add_to(std::string& file) const {
    std::string bytes;
    uint64_t now = 0;
    for (const auto& [at, rank, event] : events_) {
      add_variable(bytes, at - now);
      bytes += event;
      now = at;
    }
    bytes.append("\0\xFF\x2F\0", 4);
    file += "MTrk";
    add_number(file, static_cast<uint32_t>(bytes.size()), 4);
    file += bytes;
  }

 private:
  std::multiset<std::tuple<uint64_t, int, std::string>> events_;
};

Track head_of(const Song& song) {
  Track head;
  for (const MeterChange& each : song.meters) {
    std::string event("\xFF\x58\x04", 3);
    add_number(event, each.beats, 1);
    add_number(event, static_cast<uint32_t>(std::countr_zero(each.unit)), 1);
    event.append("\x18\x08", 2);  // clocks of a metronome's beat, 32nd notes of a quarter
    head.add(each.at, 0, event);
  }
  for (const TempoChange& each : song.tempi) {
    std::string event("\xFF\x51\x03", 3);
    add_number(event, each.microseconds, 3);
    head.add(each.at, 1, event);
  }
  return head;
}

std::string event_of(int kind, int channel, int first, int second) {
  return {static_cast<char>(kind << 4 | channel), static_cast<char>(first),
          static_cast<char>(second)};
}

}  // namespace

std::string midi_bytes(const Song& song) {
  constexpr int kDrumChannel = 9;
  std::map<uint8_t, Track> tracks;
  std::map<uint8_t, int> channels;
  for (const Note& note : song.notes) channels[note.instrument] = kDrumChannel;
  int next = 0;
  for (auto& [instrument, channel] : channels) {
    if (instrument == kDrums) continue;
    channel = next++;
    if (next == kDrumChannel) ++next;
    tracks[instrument].add(0, 0, event_of(0xC, channel, instrument, 0).substr(0, 2));
  }
  for (const Note& note : song.notes) {
    const int channel = channels[note.instrument];
    Track& track = tracks[note.instrument];
    track.add(note.start, 2, event_of(0x9, channel, note.pitch, note.velocity));
    track.add(note.start + note.duration, 1, event_of(0x8, channel, note.pitch, 0));
  }
  std::string file("MThd\0\0\0\x06\0\x01", 10);
  add_number(file, static_cast<uint32_t>(1 + tracks.size()), 2);
  add_number(file, song.ticks_per_quarter, 2);
  head_of(song).add_to(file);
  for (const auto& [instrument, track] : tracks) track.add_to(file);
  return file;
}

}  // namespace enxuto
