#include "media/media_text.h"

#include <algorithm>

#include "data/token_file.h"
#include "media/codec.h"
#include "platform/temporary_file.h"

namespace enxuto {

Result<std::string> media_text(const Metadata& metadata, const std::string& path,
                               const std::string& beside, const Progress& progress) {
  ASSIGN_OR_RETURN(const auto codec, codec_of(metadata));
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(metadata));
  const TemporaryFile name(beside, "tokens");
  TRY(codec->write_tokens({path}, /*fingerprint=*/0, name.path(), progress).status());
  ASSIGN_OR_RETURN(const TokenFile file, TokenFile::open(name.path()));
  std::vector<Token> tokens(std::min(file.n_tokens(), kMostMediaTextTokens));
  file.read(0, tokens);
  return tokenizer->decode(tokens, /*special=*/true);
}

std::vector<Token> encode_named(const Tokenizer& tokenizer, std::string_view text,
                                bool add_special) {
  return tokenizer.encode(text, add_special,
                          /*parse_special=*/!media_kind(tokenizer.metadata()).empty());
}

uint32_t sequence_step(const Metadata& metadata) {
  if (media_kind(metadata).empty()) return 1;
  const auto context = metadata.unsigned_at(kMediaContext);
  return context && *context > 0 && *context < UINT32_MAX ? static_cast<uint32_t>(*context) : 1;
}

}  // namespace enxuto
