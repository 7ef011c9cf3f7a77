// Chat templates: the file's own (Jinja), rendered by a library, sandboxed. What users write can
// never become a control token, whatever it spells.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

struct JinjaTemplate;  // compiled, with a thread that renders it

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// A conversation to learn answers from.
struct ChatAnswers {
  std::vector<Token> tokens;
  std::vector<uint8_t> learned;  // 1 where the assistant says that token, else 0
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

  // The same of a whole conversation, and which tokens are the assistant's: from where a prompt for
  // its answer would end, up to and with the token that ends the answer (without such a token: all
  // that stands before the next turn). Answers begin at a token, as when they are generated.
  // kBadInput where the template says otherwise before an answer than in the conversation.
  Result<ChatAnswers> encode_answers(const Tokenizer& tokenizer,
                                     const std::vector<ChatMessage>& messages) const;

 private:
  std::shared_ptr<const JinjaTemplate> form_;
  std::string bos_, eos_;
};

}  // namespace enxuto
