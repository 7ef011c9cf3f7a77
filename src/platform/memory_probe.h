// What memory this process may take, and what it has taken, as the kernel counts it.
#pragma once

#include <cstdint>
#include <string>

namespace enxuto {

struct MemoryLimit {
  uint64_t bytes;      // what may still be taken by this process in all, its present RSS included
  std::string source;  // what binds: "MemAvailable", "cgroup v2 memory.max of /a/b", "RLIMIT_AS"
};
// The tightest of MemAvailable, each memory cgroup this process is in (less what others in it hold
// and cannot give back) and RLIMIT_AS. `root`: see cgroup.h.
MemoryLimit probe_memory(const std::string& root = {});

// Left alone by default, for what else the machine does: a twentieth, 512 MiB at most.
uint64_t memory_margin(uint64_t free_bytes);

// What the kernel has counted of this process so far.
struct ProcessUsage {
  uint64_t rss_bytes = 0, peak_rss_bytes = 0;
  uint64_t mapped_bytes = 0;  // of the RSS: pages of files
  uint64_t minor_faults = 0, major_faults = 0;
  uint64_t disk_bytes_read = 0;  // fetched from storage for it
};
ProcessUsage process_usage();

uint64_t peak_rss_bytes();     // VmHWM
uint64_t current_rss_bytes();  // VmRSS

}  // namespace enxuto
