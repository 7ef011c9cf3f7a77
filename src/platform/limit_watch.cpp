#include "platform/limit_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <vector>

#include "base/bytes.h"
#include "platform/cgroup.h"

namespace enxuto {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kInterval = std::chrono::milliseconds(500);

struct Watch {
  uint64_t needed_bytes;
  std::string root;
  std::vector<std::string> watched;  // folders of the groups
  std::optional<Status> fell;
};

std::atomic<int64_t> next_look{INT64_MAX};  // of the clock's ticks
std::mutex mutex;
Watch watch;

void look() {
  for (const MemoryCgroup& group : memory_cgroups(watch.root)) {
    const auto limit = group.limit_bytes();
    if (!limit || *limit >= watch.needed_bytes) continue;
    if (std::ranges::find(watch.watched, group.folder) == watch.watched.end()) continue;
    watch.fell = Status::does_not_fit(
        fmt::format("stopped: {} was lowered to {} meanwhile, and {} are planned",
                    group.limit_name(), format_bytes(*limit), format_bytes(watch.needed_bytes)),
        "start again: it will plan for what there is now");
  }
}

}  // namespace

void watch_memory_limits(uint64_t needed_bytes, std::string root) {
  const std::lock_guard lock(mutex);
  watch = {needed_bytes, std::move(root), {}, {}};
  if (needed_bytes > 0)
    for (const MemoryCgroup& group : memory_cgroups(watch.root))
      if (group.limit_bytes().value_or(UINT64_MAX) >= needed_bytes)
        watch.watched.push_back(group.folder);
  next_look = watch.watched.empty() ? INT64_MAX : 0;
}

std::optional<Status> memory_limit_fell() {
  const Clock::time_point now = Clock::now();
  if (now.time_since_epoch().count() < next_look.load(std::memory_order_relaxed)) return {};
  const std::lock_guard lock(mutex);
  if (watch.fell) return watch.fell;
  if (watch.watched.empty()) return {};
  look();
  // Once it has fallen, everybody who asks is told.
  next_look = watch.fell ? 0 : (now + kInterval).time_since_epoch().count();
  return watch.fell;
}

}  // namespace enxuto
