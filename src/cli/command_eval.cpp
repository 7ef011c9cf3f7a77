// eval: how well a model predicts a text, and how far it is from a reference.
#include <fmt/format.h>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/progress_bar.h"
#include "cli/terminal_text.h"
#include "cli/text_input.h"
#include "cli/usage_report.h"
#include "infer/evaluate.h"
#include "media/codec.h"
#include "platform/memory_probe.h"

namespace enxuto {
namespace {

Json report_json(const Evaluation& e, const Model& model) {
  Json json = {{"file_bytes", model.file_bytes},         {"chunks", e.chunks},
               {"scored_tokens", e.scored_tokens},       {"perplexity", e.perplexity},
               {"perplexity_error", e.perplexity_error}, {"scored_bytes", e.scored_bytes},
               {"bits_per_byte", e.bits_per_byte}};
  if (e.compared) {
    json["reference_perplexity"] = e.reference_perplexity;
    json["kld_mean"] = e.kld_mean;
    json["kld_mean_error"] = e.kld_mean_error;
    json["kld_median"] = e.kld_median;
    json["kld_p99"] = e.kld_p99;
    json["kld_max"] = e.kld_max;
    json["same_top"] = e.same_top;
  }
  json["seconds"] = e.seconds;
  json["peak_rss_bytes"] = peak_rss_bytes();
  return json;
}

void report_text(const Evaluation& e, bool is_text) {
  const Paint paint(Stream::kOutput);
  auto line = [&](const char* what, const std::string& value) {
    fmt::print("{}{}\n", paint.dim(fmt::format("{:<24}", what)), value);
  };
  line("perplexity", fmt::format("{} ± {:.3f}", paint.bold(fmt::format("{:.3f}", e.perplexity)),
                                 e.perplexity_error));
  if (is_text) line("bits per byte of text", fmt::format("{:.4f}", e.bits_per_byte));
  if (e.compared) {
    line("reference's perplexity", fmt::format("{:.3f}", e.reference_perplexity));
    line("KL divergence", fmt::format("mean {}, median {:.5f}, 99 % {:.4f}, largest {:.3f} (nats)",
                                      paint.bold(fmt::format("{:.5f}", e.kld_mean)), e.kld_median,
                                      e.kld_p99, e.kld_max));
    line("same first choice", fmt::format("{:.2f} %", 100 * e.same_top));
  }
  line("scored", fmt::format("{} tokens of {} chunks, {:.1f} s", format_count(e.scored_tokens),
                             e.chunks, e.seconds));
}

}  // namespace

Status eval_command(const EvalOptions& options) {
  ASSIGN_OR_RETURN(const auto report, UsageReport::begin("eval", options));
  ASSIGN_OR_RETURN(const auto model, open_model(options.model));
  ProgressBar progress;
  ASSIGN_OR_RETURN(const std::string text,
                   read_text_for(*model, options.text_file, progress.callback()));
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(model->metadata));
  std::shared_ptr<const Model> reference;
  if (!options.reference.empty()) {
    ASSIGN_OR_RETURN(reference, open_model(options.reference));
  }
  const Budget budget = memory_budget(options);
  const uint32_t chunk = options.chunk_tokens ? options.chunk_tokens : chunk_tokens_of(*model);
  EvaluateOptions how{evaluation_request(chunk, options.threads()), options.chunks};
  how.as_run = options.as_run;
  how.request.tokenizer_bytes = tokenizer->table_bytes();
  how.request.kv = options.kv;
  ASSIGN_OR_RETURN(how.request.adapter, named_adapter(options, *model));
  how.request.memory_bytes = budget.bytes;
  ASSIGN_OR_RETURN(const MemoryMap map, plan_evaluation(*model, reference.get(), how.request));
  report->plan(map, budget);
  report->watch(model);
  if (reference) report->watch(reference);
  const auto evaluation = evaluate(model, *tokenizer, reference, text, how, progress.callback());
  progress.erase();
  TRY(evaluation.status());
  const Json results = report_json(*evaluation, *model);
  if (options.json)
    print_json(results);
  else
    report_text(*evaluation, media_kind(model->metadata).empty());
  return report->finish(results);
}

}  // namespace enxuto
