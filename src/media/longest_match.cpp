#include "media/longest_match.h"

#include <algorithm>

namespace enxuto {

LongestMatch::LongestMatch(std::span<const Token> sequence, std::function<bool(Token)> counts)
    : counts_(std::move(counts)) {
  for (const Token token : sequence) append(token);
}

void LongestMatch::append(Token token) {
  const auto added = static_cast<int32_t>(states_.size());
  states_.push_back({states_[whole_].length + 1, 0, {}});
  int32_t state = whole_;
  for (; state >= 0 && !states_[state].next.contains(token); state = states_[state].link)
    states_[state].next[token] = added;
  if (state >= 0) states_[added].link = copied(states_[state].next[token], state, token);
  whole_ = added;
}

// The state of what `from` and the token spell: `state`, or where that spells more a copy of it.
int32_t LongestMatch::copied(int32_t state, int32_t from, Token token) {
  if (states_[state].length == states_[from].length + 1) return state;
  const auto copy = static_cast<int32_t>(states_.size());
  states_.push_back(states_[state]);
  states_[copy].length = states_[from].length + 1;
  states_[state].link = copy;
  for (; from >= 0 && states_[from].next[token] == state; from = states_[from].link)
    states_[from].next[token] = copy;
  return copy;
}

void LongestMatch::compare(std::span<const Token> other) {
  std::vector<size_t> counted = {0};  // of the first i tokens
  int32_t state = 0;
  size_t length = 0;
  for (size_t i = 0; i < other.size(); ++i) {
    counted.push_back(counted.back() + (counts_(other[i]) ? 1 : 0));
    while (state > 0 && !states_[state].next.contains(other[i])) {
      state = states_[state].link;
      length = states_[state].length;
    }
    if (const auto next = states_[state].next.find(other[i]); next != states_[state].next.end()) {
      state = next->second;
      ++length;
    }
    longest_ = std::max(longest_, counted[i + 1] - counted[i + 1 - length]);
  }
}

}  // namespace enxuto
