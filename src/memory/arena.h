// The arena: every large allocation has an owner's name from the memory map, and comes from the
// part that was planned for it; one byte more is refused. Pages are zero and are taken from the
// machine when first touched.
#pragma once

#include <memory>
#include <span>

#include "base/status.h"
#include "memory/ledger.h"
#include "memory/memory_map.h"

namespace enxuto {

class Arena {
 public:
  // Opens all kArena parts of the map. kDoesNotFit where the machine refuses.
  static Result<std::unique_ptr<Arena>> open(const MemoryMap& map);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // n values of T out of the owner's part, 64-byte aligned. Each piece counts as align_up(n *
  // sizeof(T), 64).
  template <class T>
  Result<std::span<T>> take(std::string_view owner, uint64_t n) {
    Result<uint8_t*> bytes = take_bytes(owner, n, sizeof(T));
    if (!bytes.ok()) return bytes.status();
    return std::span<T>(reinterpret_cast<T*>(*bytes), n);
  }
  // Gives all pages of an owner's part back to the machine; all that was taken from it is void, and
  // the part can be handed out anew.
  void reset(std::string_view owner);
  const MemoryMap& map() const { return map_; }
  std::vector<LedgerLine> lines() const;  // of its kArena parts: the most so far

 private:
  explicit Arena(MemoryMap map) : map_(std::move(map)) {}
  Result<uint8_t*> take_bytes(std::string_view owner, uint64_t n, uint64_t size_of_one);
  struct Region {
    uint8_t* data = nullptr;
    uint64_t bytes = 0, used = 0;
    uint64_t peak_used = 0, peak_touched = 0;  // before it was reset
  };
  MemoryMap map_;
  std::vector<Region> regions_;  // one per part of the map
};

}  // namespace enxuto
