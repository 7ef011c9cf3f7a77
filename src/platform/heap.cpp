#include "platform/heap.h"

#include <malloc.h>

namespace enxuto {

void bound_heap() {
  constexpr int kLargeBytes = 1 << 20;  // set, it no longer adapts upwards
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, kLargeBytes);
  ::mallopt(M_TRIM_THRESHOLD, kLargeBytes);
}

void give_back_heap() { ::malloc_trim(0); }

}  // namespace enxuto
