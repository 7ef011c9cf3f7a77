// A text in two parts, where it may be cut, gives the tokens of the whole.
#pragma once

#include <string_view>
#include <vector>

#include "fuzz.h"
#include "tokenizer/text_cuts.h"
#include "tokenizer/tokenizer.h"

namespace enxuto::fuzz {

inline void check_parts(const Tokenizer& tokenizer, std::string_view text) {
  const size_t cut = TextCuts(tokenizer).last(text);
  std::vector<Token> parts;
  tokenizer.encode_part(text.substr(0, cut), true, parts);
  tokenizer.encode_part(text.substr(cut), cut == 0, parts);
  require(parts == tokenizer.encode(text, false, false), "parts are encoded as the whole");
}

}  // namespace enxuto::fuzz
