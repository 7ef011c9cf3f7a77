// Fault injection: makes the N-th allocation, read or write of the process fail, so that tests can
// walk through every N. Off unless a test turns it on; a relaxed counter otherwise.
#pragma once

#include <atomic>
#include <cstdint>

namespace enxuto {

enum class FaultPoint { kAllocation, kRead, kWrite };

// From now on the N-th (1, 2, …) pass through `point` fails, once. 0 turns it off.
void inject_fault(FaultPoint point, int64_t nth);
// How often `point` was passed since the last inject_fault on it.
int64_t fault_point_count(FaultPoint point);
// Called by platform/ and memory/ at each pass: true where this pass has to fail.
bool fault_here(FaultPoint point);

}  // namespace enxuto
