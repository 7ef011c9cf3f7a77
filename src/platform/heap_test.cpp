#include "platform/heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "platform/memory_probe.h"

namespace enxuto {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// Allocates in pieces and touches them all; gone at the end.
void fill(uint64_t piece_bytes, uint64_t all_bytes) {
  std::vector<std::unique_ptr<char[]>> pieces;
  for (uint64_t done = 0; done < all_bytes; done += piece_bytes) {
    pieces.push_back(std::make_unique<char[]>(piece_bytes));
    std::fill_n(pieces.back().get(), piece_bytes, 'x');
  }
}

// A sanitizer brings a heap of its own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Heap, GivesBackWhatThreadsTookInSmallAndInLargePieces) {
  bound_heap();
  const uint64_t before = current_rss_bytes();
  for (const uint64_t piece : {uint64_t{4096}, 3 * kMiB}) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) threads.emplace_back(fill, piece, 24 * kMiB);
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_LT(current_rss_bytes(), before + 8 * kMiB);
}

TEST(Heap, GivesBackWhatLiesBelowAPieceInUse) {
  bound_heap();
  const uint64_t before = current_rss_bytes();
  std::vector<std::unique_ptr<char[]>> pieces;
  for (int i = 0; i < 4096; ++i) {
    pieces.push_back(std::make_unique<char[]>(4096));
    std::fill_n(pieces.back().get(), 4096, 'x');
  }
  const auto in_use = std::make_unique<char[]>(4096);
  pieces.clear();
  give_back_heap();
  EXPECT_LT(current_rss_bytes(), before + 4 * kMiB);
  EXPECT_EQ(in_use[0], 0);
}
#endif

}  // namespace
}  // namespace enxuto
