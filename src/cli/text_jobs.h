// Common jobs as prompts: the instruction first and the text last, so that the cache keeps what
// many prompts begin with. docs/media.md has the wording.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/generate.h"
#include "tokenizer/chat.h"

namespace enxuto {

enum class TextJob { kContinue, kRewrite, kSummarize, kList, kJson };

class TextPrompts {
 public:
  // By the model's chat template where it has one; `schema` is named in prompts for JSON.
  static Result<TextPrompts> create(const Writer& writer, TextJob job, std::string schema);
  Result<std::vector<Token>> tokens(const Tokenizer& tokenizer, const std::string& text) const;
  // Where an answer ends that no chat template ends.
  std::vector<std::string> stops() const;

 private:
  TextPrompts(TextJob job, std::string schema) : job_(job), schema_(std::move(schema)) {}
  TextJob job_;
  std::string schema_;
  std::optional<ChatTemplate> form_;
};

}  // namespace enxuto
