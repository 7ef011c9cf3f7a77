#include "memory/arena.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/checked.h"
#include "platform/pages.h"

namespace enxuto {

Result<std::unique_ptr<Arena>> Arena::open(const MemoryMap& map) {
  std::unique_ptr<Arena> arena(new Arena(map));
  for (const MemoryPart& part : map.parts) {
    Region& region = arena->regions_.emplace_back();
    if (part.kind != PartKind::kArena || part.bytes == 0) continue;
    region.data = reserve_pages(part.bytes);
    if (!region.data)
      return Status::does_not_fit(
          fmt::format("the machine refuses {} for {}", format_bytes(part.bytes), part.owner),
          "choose a shorter context or a smaller model");
    region.bytes = part.bytes;
  }
  enter_ledger(arena.get());
  return arena;
}

Arena::~Arena() {
  leave_ledger(this);
  for (const Region& region : regions_)
    if (region.data) release_pages(region.data, region.bytes);
}

void Arena::reset(std::string_view owner) {
  for (size_t i = 0; i < map_.parts.size(); ++i) {
    Region& region = regions_[i];
    if (map_.parts[i].owner != owner || !region.data) continue;
    region.peak_used = std::max(region.peak_used, region.used);
    region.peak_touched = std::max(region.peak_touched, touched_bytes(region.data, region.bytes));
    discard_pages(region.data, region.bytes);
    region.used = 0;
  }
}

std::vector<LedgerLine> Arena::lines() const {
  std::vector<LedgerLine> lines;
  for (size_t i = 0; i < regions_.size(); ++i) {
    const Region& region = regions_[i];
    if (region.bytes == 0) continue;
    lines.push_back({map_.parts[i].owner, region.bytes, std::max(region.peak_used, region.used),
                     std::max(region.peak_touched, touched_bytes(region.data, region.bytes))});
  }
  return lines;
}

Result<uint8_t*> Arena::take_bytes(std::string_view owner, uint64_t n, uint64_t size_of_one) {
  const OptionalSize bytes = checked_align(checked_mul(n, size_of_one), 64);
  for (size_t i = 0; i < map_.parts.size(); ++i) {
    Region& region = regions_[i];
    if (map_.parts[i].owner != owner) continue;
    if (!bytes || *bytes > region.bytes - region.used)
      return Status::does_not_fit(
          fmt::format("{} outgrew its plan of {}", owner, format_bytes(region.bytes)));
    uint8_t* data = region.data + region.used;
    region.used += *bytes;
    return data;
  }
  return Status::does_not_fit(fmt::format("the memory map has no part named {}", owner));
}

}  // namespace enxuto
