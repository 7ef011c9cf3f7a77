// Where a text may be cut so that its parts, encoded one after the other (Tokenizer::encode_part),
// give the tokens of the whole. Whatever the pre-tokenizer, a piece begins
//   - after a single new line between what is no white space, and a letter or a number;
//   - at a single space between a letter or a number, and a letter;
//   - after a letter, at punctuation beyond ASCII;
// and no token of the vocabulary may reach across. Texts without such places (one endless word, new
// lines by CR LF without spaces) cannot be cut.
#pragma once

#include <array>
#include <bitset>
#include <string_view>

#include "tokenizer/tokenizer.h"

namespace enxuto {

class TextCuts {
 public:
  // For byte-level BPE whose only token that is no plain text is a control token.
  TextCuts() = default;
  explicit TextCuts(const Tokenizer& tokenizer);

  // The last place to cut `text`, in bytes; 0 where there is none. What stands before and after the
  // text does not matter; it may end in the middle of a character.
  size_t last(std::string_view text) const;

 private:
  void add_token(std::string_view text);
  bool crossed(char left, char right) const {
    return joined_[static_cast<uint8_t>(left)][static_cast<uint8_t>(right)] ||
           apart_[static_cast<uint8_t>(left)];
  }

  std::array<std::bitset<256>, 256> joined_{};  // bytes that stand side by side in a token
  // Last bytes of tokens that are found before any merging: a space may be put, or vanish, after
  // those.
  std::bitset<256> apart_;
};

}  // namespace enxuto
