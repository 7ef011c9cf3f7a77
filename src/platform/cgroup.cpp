#include "platform/cgroup.h"

#include <fstream>

namespace enxuto {
namespace {

std::optional<uint64_t> read_number(const std::string& file) {
  uint64_t value = 0;
  if (std::ifstream(file) >> value) return value;
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> MemoryCgroup::limit_bytes() const {
  return read_number(folder + (v2 ? "/memory.max" : "/memory.limit_in_bytes"));
}

std::optional<uint64_t> MemoryCgroup::usage_bytes() const {
  return read_number(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
}

std::optional<uint64_t> MemoryCgroup::peak_bytes() const {
  return read_number(folder + (v2 ? "/memory.peak" : "/memory.max_usage_in_bytes"));
}

uint64_t MemoryCgroup::reclaimable_bytes() const {
  const std::string prefix = v2 ? "" : "total_";
  uint64_t total = 0, value = 0;
  std::ifstream in(folder + "/memory.stat");
  for (std::string key; in >> key >> value;)
    if (key == prefix + "inactive_file" || key == prefix + "active_file") total += value;
  return total;
}

std::string MemoryCgroup::limit_name() const {
  return (v2 ? "cgroup v2 memory.max of " : "cgroup v1 memory.limit_in_bytes of ") + name;
}

std::vector<MemoryCgroup> memory_cgroups(const std::string& root) {
  std::vector<MemoryCgroup> found;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers =
        "," + line.substr(first + 1, second - first - 1) + ",";  // ",cpu,memory,"
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",memory,") == std::string::npos) continue;
    const std::string mount = root + (v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory");
    // In a container the path may be the host's, and lead nowhere here: what is mounted is then the
    // container's own group, where the walk ends.
    for (std::string path = line.substr(second + 1);; path.resize(path.rfind('/'))) {
      if (path == "/") path.clear();
      found.push_back({mount + path, path.empty() ? "/" : path, v2});
      if (path.empty() || path.front() != '/') break;
    }
  }
  return found;
}

}  // namespace enxuto
