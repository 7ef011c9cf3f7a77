// prune: a model with fewer heads, channels, blocks or tokens.
#include <fmt/format.h>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/output_name.h"
#include "cli/progress_bar.h"
#include "cli/prune_report.h"
#include "cli/terminal_text.h"
#include "cli/text_input.h"
#include "cli/usage_report.h"
#include "prune/prune.h"

namespace enxuto {
namespace {

constexpr std::pair<std::string_view, PruneWhat> kWhat[] = {{"auto", PruneWhat::kAuto},
                                                            {"blocks", PruneWhat::kBlocks},
                                                            {"heads", PruneWhat::kHeads},
                                                            {"channels", PruneWhat::kChannels},
                                                            {"vocabulary", PruneWhat::kVocabulary}};

PruneWhat what_of(std::string_view name) {
  for (const auto& [known, what] : kWhat)
    if (known == name) return what;
  return PruneWhat::kAuto;
}

Status check_task(const PruneOptions& options) {
  const int targets = (options.remove > 0) + (options.size_bytes > 0) + (options.speedup > 0);
  if (targets == 1 || (targets == 0 && options.what == "vocabulary")) return {};
  return Status::usage(targets == 0 ? "how much has to go is not said"
                                    : "how much has to go is said in more than one way",
                       "give one of --remove, --size and --speedup");
}

}  // namespace

Status prune_command(const PruneOptions& options) {
  TRY(check_task(options));
  PruneRequest request;
  request.what = what_of(options.what);
  request.remove = options.remove;
  request.size_bytes = options.size_bytes;
  request.speedup = options.speedup;
  request.uniform = options.uniform;
  request.recover = options.recover == "local";
  if (!options.calibration_file.empty()) {
    ASSIGN_OR_RETURN(request.calibration_text, read_text(options.calibration_file));
  }
  request.effort = options.effort;
  request.n_threads = options.threads();
  request.memory_bytes = memory_budget(options).bytes;
  request.replace_output = options.force;
  ASSIGN_OR_RETURN(const auto usage, UsageReport::begin("prune", options));
  ASSIGN_OR_RETURN(const auto model, open_model(options.model));
  TRY(check_output(*model, options.output, options.force));
  usage->watch(model);
  ProgressBar progress;
  request.announce = [&](const MemoryMap& map) {
    usage->plan(map, memory_budget(options));
    if (!options.json)
      print_note(fmt::format("{}: {} of memory, {} thread{}", format_bytes(model->file_bytes),
                             format_bytes(map.total_bytes()), request.n_threads,
                             request.n_threads == 1 ? "" : "s"));
  };
  const auto report = prune(model, options.output, request, progress.callback());
  progress.erase();
  TRY(report.status());
  if (options.json)
    print_json(prune_json(*report, *model, options));
  else
    print_prune(*report, *model, options);
  return {};
}

}  // namespace enxuto
