#include "platform/pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>

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

uint64_t touched_bytes(const uint8_t* data, uint64_t bytes) {
  constexpr uint64_t kPresent = uint64_t{3} << 62;  // in memory, or swapped out
  if (bytes == 0) return 0;
  const int fd = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(data);
  uint64_t at = begin / page, touched = 0;
  const uint64_t end = (begin + bytes + page - 1) / page;
  std::array<uint64_t, 512> entries;  // one a page
  while (at < end) {
    const uint64_t n = std::min<uint64_t>(entries.size(), end - at);
    const ssize_t got = ::pread(fd, entries.data(), n * 8, static_cast<off_t>(at * 8));
    if (got < 8) break;
    const uint64_t read = static_cast<uint64_t>(got) / 8;
    touched += static_cast<uint64_t>(
        std::count_if(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(read),
                      [](uint64_t entry) { return (entry & kPresent) != 0; }));
    at += read;
  }
  ::close(fd);
  return touched * page;
}

}  // namespace enxuto
