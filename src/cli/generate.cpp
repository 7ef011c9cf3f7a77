#include "cli/generate.h"

#include <fmt/format.h>

#include <random>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/clock.h"
#include "cli/terminal_text.h"
#include "cli/utf8.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

double rate(uint64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

}  // namespace

std::string speed_text(const Generation& g) {
  return fmt::format("prompt {} tokens, {:.1f} tokens/s; wrote {} tokens, {:.1f} tokens/s",
                     g.prompt_tokens, rate(g.prompt_tokens, g.prompt_seconds), g.new_tokens,
                     rate(g.new_tokens, g.decode_seconds));
}

Result<std::unique_ptr<Writer>> Writer::open(const RunOptions& options) {
  ASSIGN_OR_RETURN(auto model, open_model(options.model));
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::create(model->metadata));
  InferenceRequest request = inference_request(options, options.context, options.batch);
  request.tokenizer_bytes = tokenizer->table_bytes();
  TRY(check_budget(*model, request, options));
  ASSIGN_OR_RETURN(auto session, Session::open(model, request));
  if (const uint64_t bytes = session->stream_statistics().bytes_per_pass)
    print_note(
        fmt::format("the model does not fit the memory: {} are read from the file for every token",
                    format_bytes(bytes)));
  RunOptions seeded = options;
  std::random_device entropy;
  seeded.sampling.seed =
      options.seed ? *options.seed : static_cast<uint64_t>(entropy()) << 32 | entropy();
  return std::unique_ptr<Writer>(new Writer(seeded, std::move(tokenizer), std::move(session)));
}

Result<std::span<const float>> Writer::feed(std::span<const Token> tokens) {
  const uint32_t before = session_->n_tokens();
  auto logits = session_->feed(tokens);
  if (logits.ok())
    held_.insert(held_.end(), tokens.begin(), tokens.end());
  else
    session_->rewind(before);
  return logits;
}

uint32_t Writer::keep_common_prefix(const std::vector<Token>& prompt) {
  size_t same = 0;
  while (same < held_.size() && same + 1 < prompt.size() && held_[same] == prompt[same]) ++same;
  held_.resize(same);
  session_->rewind(static_cast<uint32_t>(same));
  return static_cast<uint32_t>(same);
}

Result<Generation> Writer::write(const std::vector<Token>& prompt,
                                 const std::function<bool(const std::string&)>& show) {
  if (prompt.empty()) return Status::usage("the prompt has no tokens", "give some text with -p");
  if (prompt.size() >= context())
    return Status::does_not_fit(
        fmt::format("the prompt has {} tokens, and the context holds {}", prompt.size(), context()),
        "shorten the prompt, or give a larger --context");
  Generation result;
  const uint32_t kept = keep_common_prefix(prompt);
  SamplingOptions sampling = options_.sampling;
  sampling.seed += answers_++;
  Sampler sampler(sampling);
  for (const Token token : prompt) sampler.accept(token);

  auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(std::span<const float> logits, feed(std::span(prompt).subspan(kept)));
  result.prompt_tokens = prompt.size() - kept;
  result.prompt_seconds = seconds_since(start);

  start = std::chrono::steady_clock::now();
  TextStream text(options_.stops);
  const auto limit = static_cast<uint64_t>(options_.max_tokens);
  for (;;) {
    result.end = End::kTokenLimit;
    if (options_.max_tokens >= 0 && result.new_tokens >= limit) break;
    result.end = End::kInterrupted;
    if (interrupted()) break;
    const Token token = sampler.sample(logits);
    sampler.accept(token);
    result.end = End::kModel;
    if (tokenizer_->ends_generation(token)) break;
    ++result.new_tokens;
    const std::string shown = text.push(tokenizer_->piece(token));
    if (!shown.empty() && !show(shown)) break;
    result.end = End::kStopText;
    if (text.stopped()) break;
    result.end = End::kContextFull;
    if (held_.size() >= context()) break;
    ASSIGN_OR_RETURN(logits, feed(std::span(&token, 1)));
  }
  if (const std::string rest = text.finish(); !rest.empty()) show(rest);
  result.decode_seconds = seconds_since(start);
  return result;
}

}  // namespace enxuto
