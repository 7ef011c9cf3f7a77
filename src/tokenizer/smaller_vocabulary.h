// A vocabulary cut to the tokens that a kind of text uses, and the tokenizer of what is left.
//
// A token kept with all that it is merged from is found wherever it was found before: no merge
// crosses its ends, so inside of them merging goes as it does over its own text. Hence text whose
// tokens are all kept becomes the same tokens, and any other becomes smaller ones, down to bytes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "formats/gguf.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

struct TokenChoice {
  std::vector<Token> kept;  // ascending
  uint64_t required = 0;    // of these, those that any choice has
  uint64_t met = 0;         // different tokens that the text has, kept or not
  // How many more tokens other text of the same kind is expected to take, as a share.
  double expected_growth = 0;
};

// Growth that a choice without a target accepts.
inline constexpr double kAcceptedGrowth = 0.001;

// Which tokens stay when there is room for `most`: what is no plain text (control, unknown, user
// defined, byte; what a key of the metadata names), what any text can be spelled with, then what
// `text` has, the most frequent first, then what it is likely to miss; each with all that it is
// merged from. most = 0: all that `text` has, and others until the expected growth is accepted.
//
// What is likely to be missed: `text` is read as 16 parts. What only one of them has is what that
// part would have missed of a choice by the others (Good and Turing's estimate, with parts instead
// of single tokens, since rare words come in bursts). Each of its occurrences costs the tokens that
// it would have been spelled with, less one. The costs are summed by writing system (the greatest
// byte of a token's text; ASCII: a word after a space, other letters, the rest) and rank (eighths
// of the vocabulary); the tokens of a class that were never met share its sum evenly. One more
// occurrence in each writing system may have been hidden by chance. Texts of less than some
// thousand tokens tell too little for this.
//
// kDoesNotFit where `most` is less than what is required, kBadInput where there is neither a text
// nor a target, or the text is not of this tokenizer.
Result<TokenChoice> choose_tokens(const Metadata& metadata, const Tokenizer& tokenizer,
                                  std::span<const Token> text, uint64_t most);

// The metadata of a model that has only `kept` (ascending), which are numbered anew from 0 in their
// order: tokens with their types and scores, merges, every key that names a token, the
// architecture's vocab_size. Views `metadata`'s bytes. kBadInput where `kept` is no such list, or
// has not the BOS, EOS and unknown tokens.
Result<Metadata> keep_tokens(const Metadata& metadata, std::span<const Token> kept);

}  // namespace enxuto
