#include "memory/ledger.h"

#include <algorithm>
#include <mutex>

#include "memory/arena.h"

namespace enxuto {
namespace {

struct Book {
  std::mutex mutex;
  std::vector<const Arena*> open;
  std::vector<LedgerLine> peaks;
};

Book& book() {
  static Book instance;
  return instance;
}

LedgerLine& line_of(std::vector<LedgerLine>& lines, const std::string& owner) {
  const auto it = std::ranges::find(lines, owner, &LedgerLine::owner);
  return it != lines.end() ? *it : lines.emplace_back(LedgerLine{owner});
}

void note_peaks(Book& b) {
  std::vector<LedgerLine> now;
  for (const Arena* arena : b.open)
    for (const LedgerLine& part : arena->lines()) {
      LedgerLine& line = line_of(now, part.owner);
      line.planned_bytes += part.planned_bytes;
      line.taken_bytes += part.taken_bytes;
      line.touched_bytes += part.touched_bytes;
    }
  for (const LedgerLine& line : now) {
    LedgerLine& peak = line_of(b.peaks, line.owner);
    peak.planned_bytes = std::max(peak.planned_bytes, line.planned_bytes);
    peak.taken_bytes = std::max(peak.taken_bytes, line.taken_bytes);
    peak.touched_bytes = std::max(peak.touched_bytes, line.touched_bytes);
  }
}

}  // namespace

std::vector<LedgerLine> ledger() {
  Book& b = book();
  const std::lock_guard lock(b.mutex);
  note_peaks(b);
  return b.peaks;
}

void enter_ledger(const Arena* arena) {
  Book& b = book();
  const std::lock_guard lock(b.mutex);
  b.open.push_back(arena);
}

void leave_ledger(const Arena* arena) {
  Book& b = book();
  const std::lock_guard lock(b.mutex);
  note_peaks(b);
  std::erase(b.open, arena);
}

}  // namespace enxuto
