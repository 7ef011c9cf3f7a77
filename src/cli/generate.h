// Writing text: a prompt goes in, tokens come out as text until something ends it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "infer/decoder.h"
#include "infer/session.h"
#include "tokenizer/token_rules.h"

namespace enxuto {

enum class End { kModel, kTokenLimit, kStopText, kContextFull, kInterrupted };

struct Generation {
  End end = End::kModel;
  uint64_t prompt_tokens = 0, new_tokens = 0;  // prompt tokens: those that were not in the cache
  double prompt_seconds = 0, decode_seconds = 0;
  DecodeStatistics decode;
  StreamStatistics stream;  // of decoding; zeros where nothing is streamed

  uint64_t bytes_read_per_token() const;
  double disk_bytes_per_second() const;
  double tokens_per_pass() const;
};

// How one text is written, beside what the options say of all.
struct Writing {
  TokenRules* rules = nullptr;     // that it keeps to; null: none
  std::optional<uint64_t> answer;  // the seed goes on from it; nothing: counted
  std::vector<std::string> stops;  // more of them
};

// What ended a text and what it took, for --json; `text` comes first.
Json generation_json(const std::string& text, const Generation& generation);
// "prompt 12 tokens, 310 tokens/s; wrote 64 tokens, 104 tokens/s".
std::string speed_text(const Generation& generation);
// "38 % of 210 guesses right, 2.1 tokens per pass; 187 MiB read per token, at 690 MiB/s": what
// there is of it; empty where nothing is.
std::string stream_text(const Generation& generation);

// One model, its tokenizer and one sequence of tokens.
class Writer {
 public:
  // more_bytes: memory for tables that rules make of the tokenizer; null: none.
  static Result<std::unique_ptr<Writer>> open(const RunOptions& options,
                                              uint64_t (*more_bytes)(const Tokenizer&) = nullptr);

  const Model& model() const { return session_->model(); }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  uint32_t context() const { return session_->context(); }
  const Session& session() const { return *session_; }
  std::shared_ptr<const Model> shared_model() const { return model_; }

  // Continues `prompt`, the whole sequence so far: what the cache already holds of it is not
  // computed again. Whole characters go to `show`; a false answer ends the text.
  Result<Generation> write(const std::vector<Token>& prompt,
                           const std::function<bool(const std::string&)>& show,
                           const Writing& how = {});
  // What may follow such a prompt, in tokens.
  uint64_t room_after(size_t prompt_tokens) const;

 private:
  Writer(const RunOptions& options, std::shared_ptr<const Model> model,
         std::unique_ptr<Tokenizer> tokenizer, std::unique_ptr<Session> session)
      : options_(options),
        model_(std::move(model)),
        tokenizer_(std::move(tokenizer)),
        session_(std::move(session)),
        decoder_(*session_) {}
  uint32_t keep_common_prefix(const std::vector<Token>& prompt);
  uint32_t most_ahead(const Generation& so_far) const;

  RunOptions options_;
  std::shared_ptr<const Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Session> session_;
  Decoder decoder_;
  uint64_t answers_ = 0;
};

}  // namespace enxuto
