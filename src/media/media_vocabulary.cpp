#include "media/media_vocabulary.h"

#include "tokenizer/bpe_training.h"
#include "tokenizer/vocabulary.h"

namespace enxuto {

Result<Metadata> byte_vocabulary() {
  ASSIGN_OR_RETURN(const BpeTrainer trainer, BpeTrainer::create(/*most_words=*/1));
  return trainer.train(kLeastBpeTokens, {});
}

Token append_tokens(Metadata& tokenizer, const std::vector<std::string>& names) {
  const char* const kTokens = "tokenizer.ggml.tokens";
  const char* const kKinds = "tokenizer.ggml.token_type";
  std::vector<std::string_view> tokens = *tokenizer.find(kTokens)->as_strings();
  const std::vector<double> numbers = *tokenizer.find(kKinds)->as_numbers();
  std::vector<int32_t> kinds(numbers.begin(), numbers.end());
  const auto first = static_cast<Token>(tokens.size());
  tokens.insert(tokens.end(), names.begin(), names.end());
  kinds.resize(tokens.size(), static_cast<int32_t>(TokenKind::Control));
  tokenizer.set_strings(kTokens, tokens);
  tokenizer.set_i32s(kKinds, kinds);
  return first;
}

}  // namespace enxuto
