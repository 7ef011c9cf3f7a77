#include "platform/pages.h"

#include <sys/mman.h>

#include "platform/faults.h"

namespace enxuto {

uint8_t* reserve_pages(uint64_t bytes) {
  if (fault_here(FaultPoint::kAllocation)) return nullptr;
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return data == MAP_FAILED ? nullptr : static_cast<uint8_t*>(data);
}

void release_pages(uint8_t* data, uint64_t bytes) { ::munmap(data, bytes); }

void discard_pages(uint8_t* data, uint64_t bytes) { ::madvise(data, bytes, MADV_DONTNEED); }

}  // namespace enxuto
