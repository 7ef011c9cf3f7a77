// A medium's sequences as text, each token by its name ("<note 60>"): what works on texts
// (calibration, evaluation) works on them too.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "formats/gguf.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

// Of the tokens of long files, so many are used.
inline constexpr uint64_t kMostMediaTextTokens = uint64_t{1} << 18;

// What the model that says `metadata` of itself would learn from `path`. beside: a name; a file of
// tokens lies beside it meanwhile.
Result<std::string> media_text(const Metadata& metadata, const std::string& path,
                               const std::string& beside, const Progress& progress);

// Of a text for a model: of one of a medium the names are tokens, of others they are what they say.
// add_special: as Tokenizer::encode.
std::vector<Token> encode_named(const Tokenizer& tokenizer, std::string_view text,
                                bool add_special);

// Where sequences begin that a model of a medium learned from: at multiples of so many tokens; 1: a
// model of text.
uint32_t sequence_step(const Metadata& metadata);

}  // namespace enxuto
