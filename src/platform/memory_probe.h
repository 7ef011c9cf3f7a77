// What memory this process may take, and what it has taken, as the kernel counts it.
#pragma once

#include <cstdint>
#include <string>

namespace enxuto {

struct MemoryLimit {
  uint64_t bytes;      // what may still be taken by this process in all, its present RSS included
  std::string source;  // what binds: "MemAvailable", "cgroup v2 memory.max of /a/b", "RLIMIT_AS"
};
MemoryLimit probe_memory();

uint64_t peak_rss_bytes();     // VmHWM
uint64_t current_rss_bytes();  // VmRSS

}  // namespace enxuto
