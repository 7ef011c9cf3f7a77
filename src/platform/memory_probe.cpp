#include "platform/memory_probe.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string_view>

namespace enxuto {
namespace {

// "VmHWM:    1234 kB" of /proc/self/status and its like; 0 where the key is missing.
uint64_t kilobytes_of(const char* file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    uint64_t kilobytes = 0;
    std::istringstream(line.substr(key.size())) >> kilobytes;
    return kilobytes * 1024;
  }
  return 0;
}

bool read_number(const std::string& file, uint64_t& value) {
  return static_cast<bool>(std::ifstream(file) >> value);
}

void consider(MemoryLimit& limit, uint64_t bytes, const std::string& source) {
  if (bytes < limit.bytes) limit = {bytes, source};
}

// Walks from this process's cgroup to the root: the tightest limit of the path binds.
void consider_cgroups(MemoryLimit& limit) {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers != "memory") continue;
    const std::string root = v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const char* max_file = v2 ? "/memory.max" : "/memory.limit_in_bytes";
    for (;;) {
      uint64_t max = 0;
      if (read_number(root + path + max_file, max))
        consider(
            limit, max,
            std::string(v2 ? "cgroup v2 memory.max of " : "cgroup v1 memory.limit_in_bytes of ") +
                path);
      if (path.empty() || path == "/") break;
      path.resize(path.rfind('/'));
    }
  }
}

}  // namespace

uint64_t peak_rss_bytes() { return kilobytes_of("/proc/self/status", "VmHWM:"); }
uint64_t current_rss_bytes() { return kilobytes_of("/proc/self/status", "VmRSS:"); }

MemoryLimit probe_memory() {
  MemoryLimit limit{kilobytes_of("/proc/meminfo", "MemAvailable:") + current_rss_bytes(),
                    "MemAvailable"};
  consider_cgroups(limit);
  rlimit address_space;
  if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY)
    consider(limit, address_space.rlim_cur, "RLIMIT_AS");
  return limit;
}

}  // namespace enxuto
