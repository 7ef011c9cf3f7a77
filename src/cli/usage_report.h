// --report FILE.json|FILE.html: what a command planned to take, what it took by the kernel's count,
// and how that went over time, beside its results.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/budget.h"
#include "cli/json_output.h"
#include "cli/usage_page.h"
#include "platform/file.h"
#include "platform/usage_sampler.h"

namespace enxuto {

class UsageReport {
 public:
  // At a command's start. Where there is a report to write, its file is opened and its room on the
  // disk is reserved now, so that a disk that is full or cannot be written is known before the
  // work.
  static Result<std::unique_ptr<UsageReport>> begin(const std::string& command,
                                                    const CommonOptions& options);

  // What was planned, once that is known (memory limits that fall below it end the command), and
  // whose files are mapped.
  void plan(const MemoryMap& map, const Budget& budget);
  void watch(std::shared_ptr<const Model> model);

  // At its end, after its results were printed: writes the report, where there is one to write, as
  // JSON or as such a page.
  Status finish(Json results, std::string (*page)(const Json& report) = usage_page);

  // "planned 141.5 MiB, at the peak 139.9 MiB".
  std::string summary() const;

 private:
  UsageReport(std::string command, const CommonOptions& options)
      : command_(std::move(command)), options_(options) {}
  Json memory_json() const;
  Json parts_json(const UsageSeries& series, uint64_t peak_rss) const;

  std::string command_;
  CommonOptions options_;
  MemoryMap map_;
  Budget budget_{};
  std::vector<std::shared_ptr<const Model>> models_;
  uint64_t mapped_at_start_ = 0;
  std::optional<OutputFile> file_;
  std::unique_ptr<UsageSampler> sampler_;
};

}  // namespace enxuto
