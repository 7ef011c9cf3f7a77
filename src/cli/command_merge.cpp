// merge: an adapter into the weights of its model.
#include <fmt/format.h>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/clock.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/output_name.h"
#include "cli/progress_bar.h"
#include "cli/terminal_text.h"
#include "plan/merge_plan.h"
#include "platform/memory_probe.h"
#include "train/merge_adapter.h"

namespace enxuto {
namespace {

std::vector<std::string> rounded_formats(const MergeReport& report) {
  std::vector<std::string> names;
  for (const Type type : report.rounded) names.emplace_back(find_codec(type)->name);
  return names;
}

Json report_json(const MergeReport& report, const Model& model, const MergeOptions& options,
                 uint64_t planned_bytes) {
  return {{"output", options.output},
          {"file_bytes", report.file_bytes},
          {"input_bytes", model.file_bytes},
          {"merged_tensors", report.matrices},
          {"rounded_formats", rounded_formats(report)},
          {"kept_change", report.kept_change},
          {"planned_bytes", planned_bytes},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"seconds", seconds_since(program_start())}};
}

void report_text(const MergeReport& report, const MergeOptions& options) {
  fmt::print("{}: {}, {} matrices changed\n", printable(options.output),
             format_bytes(report.file_bytes), report.matrices);
  if (report.rounded.empty()) return;
  print_note(
      fmt::format("{} is rounded again: the file has {:.0f} % of the adapter's change, as what is "
                  "less than half "
                  "a step of the format is lost. --lora adds all of it; or merge into the F16 or "
                  "BF16 model, and "
                  "compress that",
                  fmt::join(rounded_formats(report), ", "), 100 * report.kept_change));
}

}  // namespace

Status merge_command(const MergeOptions& options) {
  ASSIGN_OR_RETURN(const auto model, open_model(options.model));
  ASSIGN_OR_RETURN(const auto adapter, open_adapter(options.lora_file, *model));
  TRY(check_output(*model, options.output, options.force));
  if (same_file(options.lora_file, options.output))
    return Status::usage("the output is the adapter itself", "choose another name");
  ASSIGN_OR_RETURN(const MemoryMap map, plan_merge(*model, *adapter, options.threads()));
  TRY(check_budget(map, "merging", options, "allow more memory, or run the model with --lora"));
  ProgressBar progress;
  const auto report = merge_adapter(*model, *adapter, options.output, options.force,
                                    options.threads(), progress.callback());
  progress.erase();
  TRY(report.status());
  if (options.json)
    print_json(report_json(*report, *model, options, map.total_bytes()));
  else
    report_text(*report, options);
  return {};
}

}  // namespace enxuto
