// Keys: finding that of a piece, and moving it.
//
// Found by correlation of how long each of the twelve tones sounds with the profiles of Krumhansl &
// Kessler (1982), as Krumhansl & Schmuckler do (in: Krumhansl, Cognitive Foundations of Musical
// Pitch, 1990). A classical key finder, right for about four in five pieces; it mistakes a key for
// its neighbours (the fifth, the relative minor) at times.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "media/song.h"

namespace enxuto {

struct Key {
  int tonic = 0;  // 0 … 11: C, C#, …, B
  bool minor = false;
  bool operator==(const Key&) const = default;
};

// "C", "F#", "Bb": major; "a", "Am", "f#", "Bbm": minor.
std::optional<Key> parse_key(std::string_view text);
std::string key_name(Key key);  // as "F#m"

// Of what has a pitch; C major where there is none.
Key find_key(const Song& song);

// Semitones, -6 … 5, from the key to C major or A minor, which have the same tones.
int shift_to_c(Key key);
// The pitch so many semitones higher, in another octave where 0 … 127 ends.
uint8_t moved_pitch(uint8_t pitch, int semitones);

// Share of notes that are tones of the key; of minor also with the sixth and the seventh raised.
// 0 where there are none.
double share_in_key(const Song& song, Key key);

}  // namespace enxuto
