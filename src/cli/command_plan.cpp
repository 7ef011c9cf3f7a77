// plan: the memory that running a model takes, part by part, before anything is taken.
#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/terminal_text.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {
namespace {

struct PlanReport {
  SessionLayout layout;
  MemoryMap map;
  Budget budget;
  std::vector<Suggestion> suggestions;
  bool fits() const { return map.total_bytes() <= budget.bytes; }
};

const char* kind_name(PartKind kind) {
  switch (kind) {
    case PartKind::kArena:
      return "arena";
    case PartKind::kMapped:
      return "mapped";
    case PartKind::kProcess:
      return "process";
  }
  return "";
}

void report_json(const PlanReport& report) {
  Json parts = Json::array(), suggestions = Json::array();
  for (const MemoryPart& p : report.map.parts)
    parts.push_back({{"owner", p.owner},
                     {"bytes", p.bytes},
                     {"why", p.why},
                     {"when", p.when},
                     {"kind", kind_name(p.kind)}});
  for (const Suggestion& s : report.suggestions)
    suggestions.push_back({{"text", s.text}, {"option", s.option}, {"value", s.value}});
  print_json({{"for", "run"},
              {"total_bytes", report.map.total_bytes()},
              {"memory_bytes", report.budget.bytes},
              {"memory_source", report.budget.source},
              {"fits", report.fits()},
              {"context", report.layout.context},
              {"batch", report.layout.batch},
              {"threads", report.layout.n_threads},
              {"parts", parts},
              {"suggestions", suggestions}});
}

void report_text(const PlanReport& report) {
  const Paint paint(Stream::kOutput);
  const uint64_t total = report.map.total_bytes();
  const double scale = static_cast<double>(std::max(total, report.budget.bytes));
  Table table({"part", ">bytes", "", "why"});
  for (const MemoryPart& p : report.map.parts)
    table.add({p.owner, format_bytes(p.bytes),
               paint.cyan(bar(static_cast<double>(p.bytes) / static_cast<double>(total), 24)),
               paint.dim(printable(p.why))});
  table.add({"total", format_bytes(total), "", fmt::format("{} bytes", format_count(total))});
  table.print(paint);
  const std::string verdict = report.fits() ? paint.green("fits") : paint.red("does not fit");
  fmt::print("\n{} {}  [{}{}] {:.0f} % of {} ({})\n", paint.bold("run"), verdict,
             paint.cyan(bar(static_cast<double>(total) / scale, 30)),
             std::string(30 - std::min<size_t>(
                                  30, display_width(bar(static_cast<double>(total) / scale, 30))),
                         ' '),
             100 * static_cast<double>(total) / static_cast<double>(report.budget.bytes),
             format_bytes(report.budget.bytes), report.budget.source);
  for (const Suggestion& s : report.suggestions) fmt::print("  {}\n", s.text);
}

}  // namespace

Status plan_command(const PlanOptions& options) {
  ASSIGN_OR_RETURN(const auto model, open_model(options.model, /*weights_needed=*/false));
  InferenceRequest request = inference_request(options, options.context, options.batch);
  if (const auto tokenizer = Tokenizer::create(model->metadata); tokenizer.ok())
    request.tokenizer_bytes = (*tokenizer)->table_bytes();
  ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(*model, request));
  ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(*model, request));
  const Budget budget = memory_budget(options);
  const PlanReport report{layout, map, budget, suggest(*model, request, budget.bytes)};
  if (options.json)
    report_json(report);
  else
    report_text(report);
  return check_budget(*model, request, options);
}

}  // namespace enxuto
