#include "platform/memory_probe.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string_view>

#include "platform/cgroup.h"

namespace enxuto {
namespace {

constexpr uint64_t kMostMargin = uint64_t{512} << 20;
constexpr uint64_t kMarginShare = 20;

// The number after "key:" in /proc/self/status and its like; 0 where the key is missing.
uint64_t number_of(const std::string& file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    uint64_t number = 0;
    std::istringstream(line.substr(key.size())) >> number;
    return number;
  }
  return 0;
}

uint64_t status_bytes(const std::string& root, std::string_view key) {
  return number_of(root + "/proc/self/status", key) * 1024;
}

uint64_t less(uint64_t from, uint64_t taken) { return from > taken ? from - taken : 0; }

void consider(MemoryLimit& limit, uint64_t bytes, const std::string& source) {
  if (bytes < limit.bytes) limit = {bytes, source};
}

}  // namespace

uint64_t peak_rss_bytes() { return status_bytes({}, "VmHWM:"); }
uint64_t current_rss_bytes() { return status_bytes({}, "VmRSS:"); }

uint64_t memory_margin(uint64_t free_bytes) {
  return std::min(free_bytes / kMarginShare, kMostMargin);
}

MemoryLimit probe_memory(const std::string& root) {
  const uint64_t own = status_bytes(root, "VmRSS:");
  MemoryLimit limit{number_of(root + "/proc/meminfo", "MemAvailable:") * 1024 + own,
                    "MemAvailable"};
  for (const MemoryCgroup& group : memory_cgroups(root)) {
    const auto most = group.limit_bytes();
    if (!most) continue;
    // What is charged to the group and neither ours nor pages of files is gone for us.
    const uint64_t others =
        less(less(group.usage_bytes().value_or(0), group.reclaimable_bytes()), own);
    consider(limit, less(*most, others), group.limit_name());
  }
  rlimit address_space;
  if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY)
    consider(limit, less(address_space.rlim_cur, less(status_bytes(root, "VmSize:"), own)),
             "RLIMIT_AS");
  return limit;
}

ProcessUsage process_usage() {
  ProcessUsage usage;
  usage.rss_bytes = current_rss_bytes();
  usage.peak_rss_bytes = peak_rss_bytes();
  usage.mapped_bytes = status_bytes({}, "RssFile:") + status_bytes({}, "RssShmem:");
  rusage counted;
  if (getrusage(RUSAGE_SELF, &counted) == 0) {
    usage.minor_faults = static_cast<uint64_t>(counted.ru_minflt);
    usage.major_faults = static_cast<uint64_t>(counted.ru_majflt);
  }
  usage.disk_bytes_read = number_of("/proc/self/io", "read_bytes:");
  return usage;
}

}  // namespace enxuto
