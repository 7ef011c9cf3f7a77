// Chat templates: the file's own (Jinja), rendered by a library, sandboxed. What users write can
// never become a control token, whatever it spells.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  // kBadInput where the file has no template, or one that does not parse.
  static Result<ChatTemplate> create(const Metadata& metadata);
  Result<std::string> render(const std::vector<ChatMessage>& messages,
                             bool add_generation_prompt) const;
  // Rendered and tokenized: control tokens from the template's own text only.
  Result<std::vector<Token>> encode(const Tokenizer& tokenizer,
                                    const std::vector<ChatMessage>& messages,
                                    bool add_generation_prompt) const;

 private:
  std::string source_, bos_, eos_;
};

}  // namespace enxuto
