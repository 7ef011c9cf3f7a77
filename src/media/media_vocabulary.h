// The vocabulary of a medium: bytes of text, or a BPE made of texts, and after it tokens of its
// own.
#pragma once

#include <string>
#include <vector>

#include "formats/gguf.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

// <|endoftext|> (BOS and EOS), and the 256 bytes.
Result<Metadata> byte_vocabulary();

// Appends control tokens of these names (as "<note 60>"): text that a user writes never becomes
// them. Answers with the first one's id.
Token append_tokens(Metadata& tokenizer, const std::vector<std::string>& names);

}  // namespace enxuto
