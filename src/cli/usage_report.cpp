#include "cli/usage_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "cli/clock.h"
#include "memory/ledger.h"
#include "platform/cgroup.h"
#include "platform/limit_watch.h"
#include "platform/memory_probe.h"
#include "platform/pages.h"

namespace enxuto {
namespace {

// Larger than any report but one of a model with thousands of tensors.
constexpr uint64_t kReservedBytes = 1 << 20;

const char* kind_name(PartKind kind) {
  if (kind == PartKind::kArena) return "arena";
  return kind == PartKind::kMapped ? "mapped" : "process";
}

// Pages of the models' files that this process has touched.
uint64_t touched_of(const std::vector<std::shared_ptr<const Model>>& models) {
  uint64_t bytes = 0;
  for (const auto& model : models)
    for (const auto& file : model->files)
      bytes += touched_bytes(file->bytes().data(), file->bytes().size());
  return bytes;
}

std::optional<uint64_t> cgroup_peak() {
  const auto groups = memory_cgroups();
  return groups.empty() ? std::nullopt : groups.front().peak_bytes();
}

}  // namespace

Result<std::unique_ptr<UsageReport>> UsageReport::begin(const std::string& command,
                                                        const CommonOptions& options) {
  std::unique_ptr<UsageReport> report(new UsageReport(command, options));
  if (options.report_file.empty()) return report;
  if (!options.report_file.ends_with(".json") && !options.report_file.ends_with(".html"))
    return Status::usage(fmt::format("--report {} is neither .json nor .html", options.report_file),
                         "end its name with one of the two");
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(options.report_file, /*replace=*/true));
  TRY(file.reserve(kReservedBytes));
  report->file_.emplace(std::move(file));
  report->mapped_at_start_ = process_usage().mapped_bytes;
  report->sampler_ = std::make_unique<UsageSampler>();
  return report;
}

void UsageReport::plan(const MemoryMap& map, const Budget& budget) {
  map_ = map, budget_ = budget;
  watch_memory_limits(map.total_bytes());
}

void UsageReport::watch(std::shared_ptr<const Model> model) {
  if (file_) models_.push_back(std::move(model));
}

std::string UsageReport::summary() const {
  return fmt::format("planned {}, at the peak {}", format_bytes(map_.total_bytes()),
                     format_bytes(peak_rss_bytes()));
}

// Each part's peak: of the arena's parts by the ledger; of mapped files by their pages, now or in a
// sample; what is left of the peak RSS is the process's own.
Json UsageReport::parts_json(const UsageSeries& series, uint64_t peak_rss) const {
  uint64_t mapped = 0;
  for (const UsageSample& sample : series.samples) mapped = std::max(mapped, sample.mapped_bytes);
  mapped = mapped > mapped_at_start_ ? mapped - mapped_at_start_ : 0;
  mapped = std::max(mapped, touched_of(models_));
  const std::vector<LedgerLine> lines = ledger();
  uint64_t known = mapped;
  for (const LedgerLine& line : lines) known += line.touched_bytes;
  const uint64_t rest = peak_rss > known ? peak_rss - known : 0;
  Json parts = Json::array();
  uint64_t process_planned = 0;
  for (const MemoryPart& part : map_.parts) {
    if (part.kind == PartKind::kProcess) {
      process_planned += part.bytes;
      continue;
    }
    Json taken = nullptr, peak = nullptr;
    const auto line = std::ranges::find(lines, part.owner, &LedgerLine::owner);
    if (line != lines.end()) taken = line->taken_bytes, peak = line->touched_bytes;
    if (part.kind == PartKind::kMapped) peak = mapped;
    parts.push_back({{"owner", part.owner},
                     {"kind", kind_name(part.kind)},
                     {"planned_bytes", part.bytes},
                     {"taken_bytes", taken},
                     {"peak_bytes", peak},
                     {"why", part.why},
                     {"when", part.when}});
  }
  parts.push_back({{"owner", "process and vocabulary"},
                   {"kind", kind_name(PartKind::kProcess)},
                   {"planned_bytes", process_planned},
                   {"taken_bytes", nullptr},
                   {"peak_bytes", rest},
                   {"why", "program, libraries, stacks and the tokenizer's tables"},
                   {"when", "always"}});
  return parts;
}

Json UsageReport::memory_json() const {
  const ProcessUsage usage = process_usage();
  UsageSeries series = sampler_->series();
  Json rss = Json::array(), mapped = Json::array();
  for (const UsageSample& sample : series.samples) {
    rss.push_back(sample.rss_bytes);
    mapped.push_back(sample.mapped_bytes);
  }
  const auto peak = cgroup_peak();
  return {{"planned_bytes", map_.total_bytes()},
          {"peak_rss_bytes", usage.peak_rss_bytes},
          {"cgroup_peak_bytes", peak ? Json(*peak) : Json()},
          {"memory_bytes", budget_.bytes},
          {"memory_source", budget_.source},
          {"minor_page_faults", usage.minor_faults},
          {"major_page_faults", usage.major_faults},
          {"disk_bytes_read", usage.disk_bytes_read},
          {"seconds", seconds_since(program_start())},
          {"parts", parts_json(series, usage.peak_rss_bytes)},
          {"sample_seconds", series.interval_seconds},
          {"rss_bytes", rss},
          {"mapped_bytes", mapped}};
}

Status UsageReport::finish(Json results, std::string (*page)(const Json& report)) {
  if (!file_) return {};
  Json report = {{"command", command_}, {"model", options_.model}};
  report.update(results);
  report["memory"] = memory_json();
  const std::string text = options_.report_file.ends_with(".html") ? page(report) : to_text(report);
  TRY(file_->write(text));
  TRY(file_->commit());
  file_.reset();
  return {};
}

}  // namespace enxuto
