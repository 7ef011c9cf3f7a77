// Music as events, after REMI (Huang & Yang, Pop Music Transformer, 2020): bars and places in them
// instead of time that passes.
//
//   piece: <|endoftext|> <major> or <minor>, then bars; the last begins with <final bar>
//   bar:   <bar> [<meter 3/4>] [<tempo 90>], then at each position where notes begin
//          <position 24> and its notes: instruments ascending, of one the highest pitch first
//   note:  [<instrument 52>] [<velocity 5>] <pitch 60> <duration 12>
//   drums: after those, [<velocity 5>] <drum 38> each, ascending; they have no duration
//
// What stands in [ ] is only said where it changes; the first bar says its meter and tempo. Coarse,
// and the model's for it: 12 steps a quarter (semiquavers and triplets; shorter ones are rounded),
// lengths of 31 kinds, 8 velocities, 25 tempi eighths of an octave apart, changes of tempo and
// meter at bars. Meters of other names become such of the same length, or 4/4.
//
// Keys: every piece is moved so that it is in C major or A minor (music_key.h). So a model has one
// key to learn instead of twelve, which is worth twelve times the data, and any key is left to
// choose when it writes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "media/music_key.h"
#include "media/song.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

inline constexpr uint32_t kSteps = 12;         // of a quarter
inline constexpr uint64_t kMostBars = 4096;    // of a piece
inline constexpr uint32_t kMostBarSteps = 96;  // of a bar

enum class Event : uint8_t {
  kMode,  // 0: major, 1: minor
  kBar,
  kFinalBar,
  kMeter,
  kTempo,
  kPosition,
  kInstrument,
  kVelocity,
  kPitch,
  kDrum,
  kDuration,
  kNone  // no event of music
};

std::vector<std::string> event_names();  // in the order of their tokens
uint32_t bar_steps(uint32_t meter);      // meter: an event's index

// Events as tokens, which are in a row from `first` on.
class MusicTokens {
 public:
  explicit MusicTokens(Token first) : first_(first) {}
  Token token(Event event, uint32_t index = 0) const;
  static uint32_t count(Event event);  // of its kind
  Token end(Event event) const { return token(event) + static_cast<Token>(count(event)); }
  Event event(Token token) const;
  uint32_t index(Token token) const {
    return static_cast<uint32_t>(token - this->token(event(token)));
  }

 private:
  Token first_;
};

// The song in steps, as events can say it: of notes of one instrument and pitch none overlap, nor
// are there more than kMostInstruments; meters and tempi are such as there are, at bars, the first
// at 0. It ends with the bar of its last note. kBadInput where it has more than kMostBars; without
// notes it is empty.
Result<Song> on_grid(const Song& song);

// A song on the grid in 480 ticks a quarter, as other programs like them.
Song in_fine_ticks(Song song);

// Of a song that is on the grid, without <|endoftext|>. whole: its last bar is the final one.
std::vector<Token> encode_music(const MusicTokens& tokens, const Song& song, Key key, bool whole);

// The song, on the grid, of a sequence by the grammar (music_rules.h); other tokens are skipped.
// Its key has this tonic, and the mode that the piece says. kBadInput where it has more bars than
// kMostBars.
Result<Song> decode_music(const MusicTokens& tokens, std::span<const Token> piece, int tonic);

}  // namespace enxuto
