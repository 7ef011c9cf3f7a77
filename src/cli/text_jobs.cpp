#include "cli/text_jobs.h"

namespace enxuto {
namespace {

std::string question(TextJob job, const std::string& schema) {
  switch (job) {
    case TextJob::kContinue:
      return "";
    case TextJob::kRewrite:
      return "Rewrite the following text in clear and correct language. Keep its meaning. Answer "
             "with the new text only.\n\n";
    case TextJob::kSummarize:
      return "Summarize the following text in a few sentences. Answer with the summary only.\n\n";
    case TextJob::kList:
      return "List the main points of the following text, one a line, each after \"- \". Answer "
             "with the list only.\n\n";
    case TextJob::kJson:
      return "Answer with one JSON document of this schema:\n" + schema + "\n\n";
  }
  return "";
}

const char* plain_end(TextJob job) {
  switch (job) {
    case TextJob::kContinue:
      return "";
    case TextJob::kRewrite:
      return "\n\nThe same text, in clear and correct language:\n";
    case TextJob::kSummarize:
      return "\n\nSummary:\n";
    case TextJob::kList:
      return "\n\nMain points, one a line:\n";
    case TextJob::kJson:
      return "\n\nJSON:\n";
  }
  return "";
}

}  // namespace

Result<TextPrompts> TextPrompts::create(const Writer& writer, TextJob job, std::string schema) {
  TextPrompts prompts(job, std::move(schema));
  const Metadata& metadata = writer.model().metadata;
  if (job == TextJob::kContinue || !metadata.string_at("tokenizer.chat_template")) return prompts;
  ASSIGN_OR_RETURN(prompts.form_, ChatTemplate::create(metadata));
  return prompts;
}

Result<std::vector<Token>> TextPrompts::tokens(const Tokenizer& tokenizer,
                                               const std::string& text) const {
  if (form_)
    return form_->encode(tokenizer, {{"user", question(job_, schema_) + text}},
                         /*add_generation_prompt=*/true);
  const std::string plain = job_ == TextJob::kContinue ? text : "Text:\n" + text + plain_end(job_);
  std::vector<Token> tokens =
      tokenizer.encode(plain, /*add_special=*/true, /*parse_special=*/false);
  if (tokens.empty() && tokenizer.bos() >= 0) tokens.push_back(tokenizer.bos());
  return tokens;
}

std::vector<std::string> TextPrompts::stops() const {
  if (form_ || job_ == TextJob::kContinue || job_ == TextJob::kJson) return {};
  return {"\n\n"};
}

}  // namespace enxuto
