// The memory cgroups that this process is in, version 1 or 2, from its own to the outermost one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace enxuto {

struct MemoryCgroup {
  std::string folder;  // where its files lie
  std::string name;    // "/user.slice/a"
  bool v2;

  // Nothing where the file is missing or says "max".
  std::optional<uint64_t> limit_bytes() const;
  std::optional<uint64_t> usage_bytes() const;
  std::optional<uint64_t> peak_bytes() const;
  uint64_t reclaimable_bytes() const;  // of its usage: pages of files, which the kernel gives up
  std::string limit_name() const;      // "cgroup v2 memory.max of /user.slice/a"
};

// `root`: a folder with `proc` and `sys` in it, for tests; empty: the machine's own.
std::vector<MemoryCgroup> memory_cgroups(const std::string& root = {});

}  // namespace enxuto
