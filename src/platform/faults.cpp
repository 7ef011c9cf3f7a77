#include "platform/faults.h"

namespace enxuto {
namespace {

struct Counter {
  std::atomic<int64_t> passes{0};
  std::atomic<int64_t> fail_at{0};
};
Counter counters[3];

Counter& counter(FaultPoint point) { return counters[static_cast<int>(point)]; }

}  // namespace

void inject_fault(FaultPoint point, int64_t nth) {
  counter(point).passes = 0;
  counter(point).fail_at = nth;
}

int64_t fault_point_count(FaultPoint point) { return counter(point).passes; }

bool fault_here(FaultPoint point) {
  Counter& c = counter(point);
  const int64_t pass = c.passes.fetch_add(1, std::memory_order_relaxed) + 1;
  return pass == c.fail_at.load(std::memory_order_relaxed);
}

}  // namespace enxuto
