// export: a model as a Hugging Face folder.
#include <fmt/format.h>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/clock.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/progress_bar.h"
#include "cli/terminal_text.h"
#include "memory/arena.h"
#include "models/hf_export.h"
#include "plan/export_plan.h"
#include "platform/memory_probe.h"

namespace enxuto {
namespace {

Json report_json(const ExportReport& report, const ExportOptions& options, Type type,
                 const MemoryMap& map) {
  return {{"output", options.output},
          {"type", find_codec(type)->name},
          {"tensors", report.tensors},
          {"tensor_bytes", report.bytes},
          {"shards", report.shards},
          {"planned_bytes", map.total_bytes()},
          {"peak_rss_bytes", peak_rss_bytes()},
          {"seconds", seconds_since(program_start())}};
}

}  // namespace

Status export_command(const ExportOptions& options) {
  ASSIGN_OR_RETURN(const auto model, open_model(options.model));
  const Type type = options.type.value_or(export_type(*model));
  ASSIGN_OR_RETURN(const MemoryMap map, plan_export(*model, options.threads()));
  TRY(check_budget(map, "exporting", options, "allow more memory"));
  ASSIGN_OR_RETURN(const auto arena, Arena::open(map));
  ASSIGN_OR_RETURN(const auto working,
                   arena->take<uint8_t>(owner::kWorking, export_working_bytes(*model)));
  ThreadTeam team(options.threads());
  ProgressBar progress;
  const auto report =
      export_model(*model, type, options.output, kShardBytes, working, team, progress.callback());
  progress.erase();
  TRY(report.status());
  if (options.json)
    print_json(report_json(*report, options, type, map));
  else
    fmt::print("{}: {} in {} file{}, {} tensors, matrices in {}\n", printable(options.output),
               format_bytes(report->bytes), report->shards, report->shards == 1 ? "" : "s",
               report->tensors, find_codec(type)->name);
  return {};
}

}  // namespace enxuto
