// How much of a sequence stands in others, word for word: a suffix automaton of the one (Blumer et
// al., 1985), through which the others run in a stream. Memory: of the one sequence alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace enxuto {

class LongestMatch {
 public:
  // counts(token): whether it is one of those by which a length is told (of music: notes).
  LongestMatch(std::span<const Token> sequence, std::function<bool(Token)> counts);
  void compare(std::span<const Token> other);
  size_t longest() const { return longest_; }  // run that it shared with any of the others

 private:
  struct State {
    size_t length = 0;
    int32_t link = -1;
    std::map<Token, int32_t> next;
  };
  void append(Token token);
  int32_t copied(int32_t state, int32_t from, Token token);

  std::vector<State> states_ = {State()};
  int32_t whole_ = 0;  // of all that was appended
  std::function<bool(Token)> counts_;
  size_t longest_ = 0;
};

}  // namespace enxuto
