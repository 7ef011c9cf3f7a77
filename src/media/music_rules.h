// The grammar of music_events.h: whatever a model has learned, what it writes is a piece.
#pragma once

#include <bitset>
#include <optional>

#include "media/music_events.h"
#include "tokenizer/token_rules.h"

namespace enxuto {

// What a piece is to be; nothing: as the model likes.
struct MusicWishes {
  std::optional<bool> minor;
  std::optional<uint32_t> bars;   // until the final one, it included; > 0
  std::optional<uint32_t> tempo;  // an event's index, of the whole piece
};

inline constexpr uint32_t kMostWrittenBars = 256;  // where no number is wished

class MusicRules : public TokenRules {
 public:
  // end: <|endoftext|>, with which a piece begins (accept it first) and ends.
  MusicRules(const MusicTokens& tokens, size_t vocabulary, Token end, const MusicWishes& wishes)
      : tokens_(tokens), end_(end), wishes_(wishes), set_(vocabulary) {}

  const TokenSet& allowed() override;
  void accept(Token token) override;
  uint32_t bars() const { return bars_; }
  // Bars of an opening that are there already do not count for the wish.
  void count_from_here() { bars_ = 0; }

 private:
  void add(Event event, uint32_t begin, uint32_t end);
  void add_other(Event event, int64_t than, uint32_t begin = 0);
  void add_bars();
  void add_changes();
  void add_next();
  void add_notes();
  void accept_note(Event event, uint32_t index);

  const MusicTokens tokens_;
  const Token end_;
  const MusicWishes wishes_;
  TokenSet set_;

  Event last_ = Event::kNone;  // kNone: nothing but <|endoftext|>
  bool complete_ = false, final_ = false;
  uint32_t bars_ = 0;
  // What was said, -1 where nothing was:
  int64_t meter_ = -1, tempo_ = -1, position_ = -1, instrument_ = -1, velocity_ = -1;
  std::bitset<kDrums> instruments_;
  // Of the position: the last note's instrument, its pitch (128: none), the last drum.
  int64_t begun_ = -1, pitch_ = 128, drum_ = -1;
  bool instrument_said_ = false;  // and no note of it yet
};

}  // namespace enxuto
