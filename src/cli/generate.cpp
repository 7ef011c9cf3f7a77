#include "cli/generate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/clock.h"
#include "cli/create.h"
#include "cli/measured_cache.h"
#include "cli/terminal_text.h"
#include "cli/utf8.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

double rate(uint64_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

DecodeStatistics operator-(DecodeStatistics a, const DecodeStatistics& b) {
  a.passes -= b.passes, a.steps -= b.steps;
  a.drafted -= b.drafted, a.accepted -= b.accepted;
  return a;
}

StreamStatistics operator-(StreamStatistics a, const StreamStatistics& b) {
  a.bytes_read -= b.bytes_read, a.read_seconds -= b.read_seconds;
  return a;
}

const char* end_name(End end) {
  switch (end) {
    case End::kModel:
      return "model";
    case End::kTokenLimit:
      return "token limit";
    case End::kStopText:
      return "stop text";
    case End::kContextFull:
      return "context full";
    case End::kInterrupted:
      break;
  }
  return "interrupted";
}

}  // namespace

uint64_t Generation::bytes_read_per_token() const {
  return new_tokens ? stream.bytes_read / new_tokens : 0;
}

double Generation::disk_bytes_per_second() const {
  return rate(stream.bytes_read, stream.read_seconds);
}

double Generation::tokens_per_pass() const {
  return rate(decode.steps, static_cast<double>(decode.passes));
}

std::string stream_text(const Generation& g) {
  std::string text;
  if (g.decode.drafted)
    text = fmt::format(
        "{:.0f} % of {} guesses right, {:.2f} tokens per pass",
        100.0 * static_cast<double>(g.decode.accepted) / static_cast<double>(g.decode.drafted),
        g.decode.drafted, g.tokens_per_pass());
  if (g.stream.bytes_read)
    text += fmt::format("{}{} read per token, at {}/s", text.empty() ? "" : "; ",
                        format_bytes(g.bytes_read_per_token()),
                        format_bytes(static_cast<uint64_t>(g.disk_bytes_per_second())));
  return text;
}

std::string speed_text(const Generation& g) {
  return fmt::format("prompt {} tokens, {:.1f} tokens/s; wrote {} tokens, {:.1f} tokens/s",
                     g.prompt_tokens, rate(g.prompt_tokens, g.prompt_seconds), g.new_tokens,
                     rate(g.new_tokens, g.decode_seconds));
}

Json generation_json(const std::string& text, const Generation& g) {
  return {{"text", text},
          {"end", end_name(g.end)},
          {"prompt_tokens", g.prompt_tokens},
          {"new_tokens", g.new_tokens},
          {"prompt_tokens_per_second", rate(g.prompt_tokens, g.prompt_seconds)},
          {"decode_tokens_per_second", rate(g.new_tokens, g.decode_seconds)},
          {"passes", g.decode.passes},
          {"tokens_per_pass", g.tokens_per_pass()},
          {"draft_tokens", g.decode.drafted},
          {"draft_accepted", g.decode.accepted},
          {"streamed_bytes_per_pass", g.stream.bytes_per_pass},
          {"streamed_bytes_per_token", g.bytes_read_per_token()},
          {"disk_bytes_per_second", g.disk_bytes_per_second()}};
}

Result<std::unique_ptr<Writer>> Writer::open(const RunOptions& options,
                                             uint64_t (*more_bytes)(const Tokenizer&)) {
  ASSIGN_OR_RETURN(auto model, open_model(options.model));
  TRY(check_is_text(*model));
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::create(model->metadata));
  InferenceRequest request = inference_request(options, options.context, options.batch);
  request.tokenizer_bytes = tokenizer->table_bytes() + (more_bytes ? more_bytes(*tokenizer) : 0);
  ASSIGN_OR_RETURN(request.adapter, named_adapter(options, *model));
  TRY(settle_cache(model, options, request));
  if (options.draft)
    request.draft = *options.draft;
  else
    request = with_drafting(*model, request);
  TRY(check_budget(*model, request, options));
  ASSIGN_OR_RETURN(auto session, Session::open(model, request));
  if (const uint64_t bytes = session->stream_statistics().bytes_per_pass)
    print_note(
        fmt::format("the model does not fit the memory: {} are read from the file in every pass",
                    format_bytes(bytes)));
  RunOptions seeded = options;
  seeded.sampling.seed = options.seed ? *options.seed : random_seed();
  return std::unique_ptr<Writer>(
      new Writer(seeded, std::move(model), std::move(tokenizer), std::move(session)));
}

uint32_t Writer::keep_common_prefix(const std::vector<Token>& prompt) {
  const std::vector<Token>& held = decoder_.tokens();
  size_t same = 0;
  while (same < held.size() && same + 1 < prompt.size() && held[same] == prompt[same]) ++same;
  return decoder_.rewind(static_cast<uint32_t>(same));
}

uint64_t Writer::room_after(size_t prompt_tokens) const {
  // The last token is written, and needs no place any more.
  const uint64_t room = prompt_tokens < context() ? context() - prompt_tokens + 1 : 0;
  return options_.max_tokens < 0 ? room
                                 : std::min(room, static_cast<uint64_t>(options_.max_tokens));
}

// Guesses beyond the next token that could still be written.
uint32_t Writer::most_ahead(const Generation& so_far) const {
  if (options_.max_tokens < 0) return UINT32_MAX;
  const uint64_t left = static_cast<uint64_t>(options_.max_tokens) - so_far.new_tokens;
  return static_cast<uint32_t>(std::clamp<uint64_t>(left, 1, UINT32_MAX) - 1);
}

Result<Generation> Writer::write(const std::vector<Token>& prompt,
                                 const std::function<bool(const std::string&)>& show,
                                 const Writing& how) {
  if (prompt.empty()) return Status::usage("the prompt has no tokens", "give some text with -p");
  if (prompt.size() >= context())
    return Status::does_not_fit(
        fmt::format("the prompt has {} tokens, and the context holds {}", prompt.size(), context()),
        "shorten the prompt, or give a larger --context");
  Generation result;
  const uint32_t kept = keep_common_prefix(prompt);
  SamplingOptions sampling = options_.sampling;
  sampling.seed += how.answer ? *how.answer : answers_++;
  Sampler sampler(sampling);
  for (const Token token : prompt) sampler.accept(token);

  auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(std::span<const float> logits, decoder_.prompt(std::span(prompt).subspan(kept)));
  result.prompt_tokens = prompt.size() - kept;
  result.prompt_seconds = seconds_since(start);

  const DecodeStatistics decoded = decoder_.statistics();
  const StreamStatistics streamed = session_->stream_statistics();
  start = std::chrono::steady_clock::now();
  std::vector<std::string> stops = options_.stops;
  stops.insert(stops.end(), how.stops.begin(), how.stops.end());
  TextStream text(std::move(stops));
  const auto limit = static_cast<uint64_t>(options_.max_tokens);
  for (;;) {
    const TokenSet* allowed = how.rules ? &how.rules->allowed() : nullptr;
    result.end = End::kModel;
    if (allowed && allowed->empty()) break;
    result.end = End::kTokenLimit;
    if (options_.max_tokens >= 0 && result.new_tokens >= limit) break;
    result.end = End::kInterrupted;
    if (interrupted()) break;
    const Token token = allowed ? sampler.sample(logits, *allowed) : sampler.sample(logits);
    sampler.accept(token);
    if (how.rules) how.rules->accept(token);
    result.end = End::kModel;
    if (tokenizer_->ends_generation(token)) break;
    ++result.new_tokens;
    const std::string shown = text.push(tokenizer_->piece(token));
    if (!shown.empty() && !show(shown)) break;
    result.end = End::kStopText;
    if (text.stopped()) break;
    result.end = End::kContextFull;
    if (decoder_.tokens().size() >= context()) break;
    ASSIGN_OR_RETURN(logits, decoder_.step(token, most_ahead(result)));
  }
  if (const std::string rest = text.finish(); !rest.empty()) show(rest);
  result.decode_seconds = seconds_since(start);
  result.decode = decoder_.statistics() - decoded;
  result.stream = session_->stream_statistics() - streamed;
  return result;
}

}  // namespace enxuto
