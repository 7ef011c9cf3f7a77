#include "infer/prompt_lookup.h"

#include <bit>
#include <cassert>

#include "plan/session_layout.h"

namespace enxuto {
namespace {

// A longer match is no better a reason, more candidates seldom find one.
constexpr uint32_t kLongEnough = 32;
constexpr int kMostCandidates = 1024;

uint32_t match_length(std::span<const Token> text, uint32_t end) {
  uint32_t n = 0;
  while (n < kLongEnough && n < end && text[end - 1 - n] == text[text.size() - 1 - n]) ++n;
  return n;
}

}  // namespace

PromptLookup::PromptLookup(std::span<uint32_t> memory, uint32_t context)
    : previous_(memory.first(context)), heads_(memory.subspan(context, lookup_heads(context))) {}

uint32_t& PromptLookup::head(Token token) {
  const uint32_t mixed = static_cast<uint32_t>(token) * 0x9e3779b1u;
  return heads_[mixed >> (32 - std::countr_zero(heads_.size()))];
}

void PromptLookup::push(std::span<const Token> text) {
  assert(text.size() <= previous_.size());
  uint32_t& latest = head(text.back());
  previous_[text.size() - 1] = latest;
  latest = static_cast<uint32_t>(text.size());
}

void PromptLookup::pop(std::span<const Token> text) {
  head(text.back()) = previous_[text.size() - 1];
}

uint32_t PromptLookup::guess(std::span<const Token> text, uint32_t most,
                             std::vector<Token>& draft) const {
  if (text.empty() || most == 0) return 0;
  uint32_t longest = 0, place = 0;
  int candidates = kMostCandidates;
  for (uint32_t end = previous_[text.size() - 1];
       end != 0 && candidates > 0 && longest < kLongEnough;
       end = previous_[end - 1], --candidates) {
    const uint32_t n = match_length(text, end);
    if (n > longest) longest = n, place = end;
  }
  // A match that reaches the end of the text goes on with what it has just guessed.
  const size_t period = text.size() - place;
  for (uint32_t i = 0; longest > 0 && i < most; ++i) draft.push_back(text[place + i % period]);
  return longest;
}

}  // namespace enxuto
