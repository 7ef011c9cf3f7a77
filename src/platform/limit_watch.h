// A memory cgroup may shrink while this program works in it. What was planned no longer fits then,
// and the kernel would end the program at a page of its choice; the watch ends it in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"

namespace enxuto {

// From now on `needed_bytes` are what this process may come to hold; 0 ends the watch. Limits that
// are lower already are not watched. `root`: see cgroup.h.
void watch_memory_limits(uint64_t needed_bytes, std::string root = {});

// kDoesNotFit once a limit has fallen below. Looks twice a second, however often it is asked; of
// any thread.
std::optional<Status> memory_limit_fell();

}  // namespace enxuto
