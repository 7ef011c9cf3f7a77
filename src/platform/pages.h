// Anonymous memory straight from the kernel: zero pages, charged when first touched.
#pragma once

#include <cstdint>

namespace enxuto {

uint8_t* reserve_pages(uint64_t bytes);  // null where refused
void release_pages(uint8_t* data, uint64_t bytes);
void discard_pages(uint8_t* data, uint64_t bytes);  // they are zero, and uncharged, again

// Bytes of the whole pages in [data, data + bytes) that this process has touched and the kernel
// counts for it; 0 where the kernel does not say.
uint64_t touched_bytes(const uint8_t* data, uint64_t bytes);

}  // namespace enxuto
