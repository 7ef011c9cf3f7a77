// Finds where the last tokens of a text stood before, and what followed them there: guesses that
// cost next to nothing, for text that quotes or repeats itself (code, edits, summaries).
//
// Chains as deflate has them: heads[hash of a token] is its latest place, previous[place] the one
// before. The longest match wins, of equals the latest.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace enxuto {

class PromptLookup {
 public:
  // memory: SessionLayout::lookup_bytes of zeros, for texts of at most `context` tokens.
  PromptLookup(std::span<uint32_t> memory, uint32_t context);

  void push(std::span<const Token> text);  // its last token is new
  void pop(std::span<const Token> text);   // its last token is about to go

  // Appends to `draft` up to `most` tokens that followed the longest match of the end of the text,
  // and returns how many tokens match. 0: the last token is new.
  uint32_t guess(std::span<const Token> text, uint32_t most, std::vector<Token>& draft) const;

 private:
  uint32_t& head(Token token);
  std::span<uint32_t> previous_, heads_;  // places, counted from 1; 0: none
};

}  // namespace enxuto
