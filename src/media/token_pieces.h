// The bytes of a vocabulary's tokens in order, to walk an automaton over all of them: what begins
// alike is stepped through once, and what begins in vain is passed over.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace enxuto {

class TokenPieces {
 public:
  // Of tokens that are text. Where not all bytes of cut characters can follow, tokens that cut one
  // are left out.
  explicit TokenPieces(const Tokenizer& tokenizer);

  size_t size() const { return tokens_.size(); }
  Token token(size_t i) const { return tokens_[i]; }
  std::string_view text(size_t i) const {
    return std::string_view(bytes_).substr(starts_[i], starts_[i + 1] - starts_[i]);
  }
  // Memory for so many tokens, whose texts have so many bytes in all.
  static uint64_t table_bytes(const Tokenizer& tokenizer);

  // found(i, state) for each piece that the automaton reads to its end.
  // step(state, byte, place of the byte in the piece, next) is false where it cannot go on.
  template <class State, class Step, class Found>
  void walk(State start, const Step& step, const Found& found) const {
    std::vector<State> states(longest_ + 1, start);
    size_t alive = 0;  // bytes of the piece before that were read
    for (size_t i = 0; i < size(); ++i) {
      if (common_[i] > alive) continue;
      const std::string_view piece = text(i);
      size_t n = common_[i];
      while (n < piece.size() && step(states[n], static_cast<uint8_t>(piece[n]), n, states[n + 1]))
        ++n;
      alive = n;
      if (n == piece.size()) found(i, states[n]);
    }
  }

  // The fewest tokens found that spell a text, by trying all ways; empty where none do.
  std::vector<Token> spell(std::string_view text) const;

 private:
  std::string bytes_;
  std::vector<uint32_t> starts_ = {0}, common_;  // common_: bytes that the piece before begins with
  std::vector<Token> tokens_;
  size_t longest_ = 0;
};

}  // namespace enxuto
