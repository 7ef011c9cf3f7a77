// The ledger: what the arenas of this process were opened for, and the most that each owner has
// taken of it. Arenas enter themselves; what is gone stays written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace enxuto {

class Arena;

struct LedgerLine {
  std::string owner;
  uint64_t planned_bytes = 0;  // of all arenas that were open at the same time
  uint64_t taken_bytes = 0;    // handed out
  uint64_t touched_bytes = 0;  // in whole pages, as the kernel counts them
};

// One line an owner, in the order in which they came: peaks so far.
std::vector<LedgerLine> ledger();

// For arenas.
void enter_ledger(const Arena* arena);
void leave_ledger(const Arena* arena);

}  // namespace enxuto
