#include "memory/memory_map.h"

namespace enxuto {

uint64_t MemoryMap::total_bytes() const {
  uint64_t total = 0;
  for (const MemoryPart& part : parts) total += part.bytes;
  return total;
}

const MemoryPart* MemoryMap::find(std::string_view owner) const {
  for (const MemoryPart& part : parts)
    if (part.owner == owner) return &part;
  return nullptr;
}

}  // namespace enxuto
