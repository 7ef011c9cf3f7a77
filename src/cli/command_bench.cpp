// bench: speed and memory of a model on this machine.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/clock.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/measured_cache.h"
#include "cli/operator_report.h"
#include "cli/progress_bar.h"
#include "cli/terminal_text.h"
#include "cli/usage_report.h"
#include "infer/session.h"
#include "kernels/kernels.h"
#include "platform/interrupt.h"
#include "platform/memory_probe.h"

namespace enxuto {
namespace {

constexpr std::string_view kFirstPrompt = "The first thing that a visitor sees is";

struct Figures {
  double first_token_seconds = 0;
  std::vector<double> prefill_rates, decode_rates;  // tokens per second, one a run
  TimedPasses prefill, decode;
  MachineLimits limits;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

// Tokens that say nothing, the same each time.
std::vector<Token> filler_tokens(uint32_t n, uint32_t vocabulary) {
  std::vector<Token> tokens(n);
  uint64_t state = 1;
  for (Token& token : tokens) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    token = static_cast<Token>((state >> 33) % vocabulary);
  }
  return tokens;
}

// `at_once` in one pass.
Status feed_all(Session& session, std::span<const Token> tokens, size_t at_once) {
  for (size_t begin = 0; begin < tokens.size(); begin += at_once) {
    TRY(session.feed(tokens.subspan(begin, at_once)).status());
    if (interrupted()) return Status::interrupted();
  }
  return {};
}

// Into an empty cache; returns tokens per second.
Result<double> time_passes(Session& session, std::span<const Token> tokens, size_t at_once,
                           TimedPasses& passes) {
  session.rewind(0);
  session.set_operator_times(&passes.operators);
  const auto start = std::chrono::steady_clock::now();
  const Status status = feed_all(session, tokens, at_once);
  const double seconds = seconds_since(start);
  session.set_operator_times(nullptr);
  TRY(status);
  passes.seconds += seconds, passes.tokens += tokens.size();
  return static_cast<double>(tokens.size()) / seconds;
}

Result<double> time_first_token(Session& session, const Tokenizer& tokenizer) {
  const auto prompt = tokenizer.encode(kFirstPrompt, true, false);
  if (prompt.size() > session.context())
    return Status::usage("--context is too small for a measurement", "give 32 or more");
  ASSIGN_OR_RETURN(const auto logits, session.feed(prompt));
  SamplingOptions greedy;
  greedy.temperature = 0;
  Sampler(greedy).sample(logits);
  return seconds_since(program_start());
}

Result<Figures> measure(Session& session, const BenchOptions& options, double first_token_seconds) {
  Figures figures;
  figures.first_token_seconds = first_token_seconds;
  const uint32_t vocabulary = session.model().hyper.vocabulary;
  const auto prefill = filler_tokens(options.prefill_tokens, vocabulary);
  const auto decode = filler_tokens(options.decode_tokens, vocabulary);
  ProgressBar progress;
  for (uint32_t run = 0; run < options.repeats; ++run) {
    progress.show("measuring", static_cast<double>(run) / options.repeats);
    ASSIGN_OR_RETURN(const double prefill_rate,
                     time_passes(session, prefill, prefill.size(), figures.prefill));
    ASSIGN_OR_RETURN(const double decode_rate, time_passes(session, decode, 1, figures.decode));
    figures.prefill_rates.push_back(prefill_rate);
    figures.decode_rates.push_back(decode_rate);
    if (interrupted()) return Status::interrupted();
  }
  figures.limits = measure_limits(session);
  return figures;
}

// What the disk gave while it was asked; 0 where nothing is streamed.
double disk_rate(const Session& session) {
  const StreamStatistics s = session.stream_statistics();
  return s.read_seconds > 0 ? static_cast<double>(s.bytes_read) / s.read_seconds : 0;
}

Json report_json(const Figures& f, const BenchOptions& options, const Session& session) {
  return {{"prefill_tokens_per_second", median(f.prefill_rates)},
          {"decode_tokens_per_second", median(f.decode_rates)},
          {"time_to_first_token_seconds", f.first_token_seconds},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"planned_bytes", session.memory_map().total_bytes()},
          {"file_bytes", session.model().file_bytes},
          {"threads", options.threads()},
          {"prefill_tokens", options.prefill_tokens},
          {"decode_tokens", options.decode_tokens},
          {"context", session.context()},
          {"repeats", options.repeats},
          {"streamed_bytes_per_pass", session.stream_statistics().bytes_per_pass},
          {"disk_bytes_per_second", disk_rate(session)},
          {"instruction_set", kernels().isa},
          {"decode_operators", operators_json(f.decode)},
          {"prefill_operators", operators_json(f.prefill)},
          {"read_bytes_per_second", f.limits.read_rate},
          {"products_per_second", f.limits.product_rate}};
}

void report_text(const Figures& f, const BenchOptions& options, const Session& session) {
  const Paint paint(Stream::kOutput);
  Table table({"what", ">median", ">from", ">to", "unit"});
  auto add = [&](const std::string& what, std::vector<double> rates) {
    const auto [least, most] = std::minmax_element(rates.begin(), rates.end());
    table.add({what, paint.bold(fmt::format("{:.1f}", median(rates))),
               fmt::format("{:.1f}", *least), fmt::format("{:.1f}", *most), "tokens/s"});
  };
  add(fmt::format("prefill {}", options.prefill_tokens), f.prefill_rates);
  add(fmt::format("decode {}", options.decode_tokens), f.decode_rates);
  table.add({"first token", fmt::format("{:.3f}", f.first_token_seconds), "", "", "s"});
  table.add({"peak memory", format_bytes(peak_rss_bytes()), "", "", ""});
  table.add({"planned", format_bytes(session.memory_map().total_bytes()), "", "", ""});
  if (const uint64_t bytes = session.stream_statistics().bytes_per_pass) {
    table.add({"read for every token", format_bytes(bytes), "", "", ""});
    table.add({"disk", fmt::format("{:.0f}", disk_rate(session) / 1e6), "", "", "MB/s"});
  }
  table.print(paint);
  fmt::print("\n");
  print_operators(f.decode, f.prefill, f.limits);
  fmt::print("\n{} threads, {}, context {}\n", options.threads(), kernels().isa, session.context());
}

}  // namespace

Status bench_command(const BenchOptions& options) {
  ASSIGN_OR_RETURN(const auto report, UsageReport::begin("bench", options));
  ASSIGN_OR_RETURN(const auto model, open_model(options.model));
  ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::create(model->metadata));
  const uint32_t needed = std::max({options.prefill_tokens, options.decode_tokens, 32u});
  InferenceRequest request =
      inference_request(options, std::max(needed, options.context), options.batch);
  request.tokenizer_bytes = tokenizer->table_bytes();
  ASSIGN_OR_RETURN(request.adapter, named_adapter(options, *model));
  TRY(settle_cache(model, options, request));
  TRY(check_budget(*model, request, options));
  ASSIGN_OR_RETURN(const auto session, Session::open(model, request));
  report->plan(session->memory_map(), memory_budget(options));
  report->watch(model);
  ASSIGN_OR_RETURN(const double first_token_seconds, time_first_token(*session, *tokenizer));
  ASSIGN_OR_RETURN(const Figures figures, measure(*session, options, first_token_seconds));
  const Json results = report_json(figures, options, *session);
  if (options.json)
    print_json(results);
  else
    report_text(figures, options, *session);
  return report->finish(results);
}

}  // namespace enxuto
