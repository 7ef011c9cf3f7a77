#include "memory/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "memory/arena.h"

namespace enxuto {
namespace {

LedgerLine line_of(const std::string& owner) {
  for (const LedgerLine& line : ledger())
    if (line.owner == owner) return line;
  return {};
}

// Takes all of a part and touches the first `pages` pages of it.
std::unique_ptr<Arena> open_and_touch(const std::string& owner, uint64_t pages) {
  auto arena = Arena::open({{{owner, 10 * 4096, "", "", PartKind::kArena}}});
  EXPECT_TRUE(arena.ok());
  const auto bytes = (*arena)->take<uint8_t>(owner, 8 * 4096);
  EXPECT_TRUE(bytes.ok());
  std::fill_n(bytes->data(), pages * 4096, uint8_t{1});
  return std::move(*arena);
}

TEST(Ledger, TellsPlannedTakenAndTouchedApart) {
  const auto arena = open_and_touch("ledger cache", 3);
  const LedgerLine line = line_of("ledger cache");
  EXPECT_EQ(line.planned_bytes, 10u * 4096);
  EXPECT_EQ(line.taken_bytes, 8u * 4096);
  EXPECT_EQ(line.touched_bytes, 3u * 4096);
}

TEST(Ledger, KeepsThePeakOfWhatIsGoneAndAddsWhatIsOpenTogether) {
  open_and_touch("ledger work", 5);
  open_and_touch("ledger work", 2);
  EXPECT_EQ(line_of("ledger work").touched_bytes, 5u * 4096);
  const auto one = open_and_touch("ledger work", 4), other = open_and_touch("ledger work", 4);
  EXPECT_EQ(line_of("ledger work").touched_bytes, 8u * 4096);
  one->reset("ledger work");
  EXPECT_EQ(line_of("ledger work").touched_bytes, 8u * 4096);
}

}  // namespace
}  // namespace enxuto
