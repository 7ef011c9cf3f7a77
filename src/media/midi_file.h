// Standard MIDI files, formats 0, 1 and 2: untrusted bytes in, a song out; and back as format 1.
// Source: "Standard MIDI Files 1.0" (MIDI Manufacturers Association, RP-001).
//
// Refused with the track and the byte: what is cut off, a tempo or a division of zero, a meter of
// no beats, bytes that are no event. Taken as good as it goes: unknown chunks and metas (skipped),
// a track without its end, notes that never end (they do with their track), bytes behind the last
// track. Tracks of format 2 follow one another. Where ticks are of seconds (SMPTE), the song is at
// 120 quarters a minute.
#pragma once

#include <string>

#include "base/status.h"
#include "media/song.h"
#include "platform/file.h"

namespace enxuto {

inline constexpr uint64_t kMostMidiBytes = uint64_t{4} << 20;

// kBadInput: "track 2, byte 134: why". Memory: some 20 times the bytes at most.
Result<Song> parse_midi(ByteView bytes);
// The same of a file of at most kMostMidiBytes; errors name it.
Result<Song> read_midi(const std::string& path);

// A track of tempi and meters, and one for each instrument. Notes of one instrument and pitch must
// not overlap, and no more than kMostInstruments be used beside drums (a channel each).
inline constexpr size_t kMostInstruments = 15;
std::string midi_bytes(const Song& song);

}  // namespace enxuto
