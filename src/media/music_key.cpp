#include "media/music_key.h"

#include <array>
#include <cmath>

namespace enxuto {
namespace {

using Tones = std::array<double, 12>;

constexpr Tones kMajor = {6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88};
constexpr Tones kMinor = {6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17};
constexpr std::array<std::string_view, 12> kNames = {"C",  "C#", "D",  "Eb", "E",  "F",
                                                     "F#", "G",  "Ab", "A",  "Bb", "B"};

double correlation(const Tones& sounding, const Tones& profile, size_t tonic) {
  double mean_a = 0, mean_b = 0, ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < 12; ++i) mean_a += sounding[i] / 12, mean_b += profile[i] / 12;
  for (size_t i = 0; i < 12; ++i) {
    const double a = sounding[(tonic + i) % 12] - mean_a, b = profile[i] - mean_b;
    ab += a * b, aa += a * a, bb += b * b;
  }
  return aa > 0 ? ab / std::sqrt(aa * bb) : 0;
}

// Of the scale on C: a bit for each tone.
constexpr unsigned kMajorScale = 0b101010110101, kMinorScale = 0b111110101101;

}  // namespace

std::optional<Key> parse_key(std::string_view text) {
  if (text.empty()) return std::nullopt;
  constexpr std::array<int, 7> kLetters = {9, 11, 0, 2, 4, 5, 7};  // A … G
  const bool small = text[0] >= 'a' && text[0] <= 'g';
  if (!small && (text[0] < 'A' || text[0] > 'G')) return std::nullopt;
  Key key{kLetters[static_cast<size_t>(text[0] - (small ? 'a' : 'A'))], small};
  text.remove_prefix(1);
  if (text.starts_with('#') || text.starts_with('b')) {
    key.tonic = (key.tonic + (text[0] == '#' ? 1 : 11)) % 12;
    text.remove_prefix(1);
  }
  if (text == "m") key.minor = true;
  if (text.empty() || text == "m") return key;
  return std::nullopt;
}

std::string key_name(Key key) {
  return std::string(kNames[static_cast<size_t>(key.tonic)]) + (key.minor ? "m" : "");
}

Key find_key(const Song& song) {
  Tones sounding{};
  for (const Note& note : song.notes)
    if (note.instrument != kDrums) sounding[note.pitch % 12] += static_cast<double>(note.duration);
  Key found;
  double best = 0;
  for (int tonic = 0; tonic < 12; ++tonic)
    for (const bool minor : {false, true}) {
      const double fit = correlation(sounding, minor ? kMinor : kMajor, static_cast<size_t>(tonic));
      if (fit > best) best = fit, found = {tonic, minor};
    }
  return found;
}

int shift_to_c(Key key) {
  const int up = ((key.minor ? 9 : 0) - key.tonic + 24) % 12;
  return up > 5 ? up - 12 : up;
}

uint8_t moved_pitch(uint8_t pitch, int semitones) {
  const int moved = pitch + semitones;
  return static_cast<uint8_t>(moved < 0 ? moved + 12 : moved > 127 ? moved - 12 : moved);
}

double share_in_key(const Song& song, Key key) {
  const unsigned scale = key.minor ? kMinorScale : kMajorScale;
  double n = 0, in_key = 0;
  for (const Note& note : song.notes) {
    if (note.instrument == kDrums) continue;
    ++n;
    in_key += scale >> ((note.pitch + 12 - key.tonic) % 12) & 1;
  }
  return n > 0 ? in_key / n : 0;
}

}  // namespace enxuto
