#include "platform/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace enxuto {
namespace {

TEST(ThreadTeam, VisitsEveryIndexOnce) {
  for (int n_threads : {1, 2, 3, 8}) {
    ThreadTeam team(n_threads);
    for (int64_t n : {0, 1, 2, 7, 1000}) {
      for (int64_t grain : {1, 3, 2000}) {
        std::vector<std::atomic<int>> visits(n);
        team.parallel_for(n, grain, [&](int64_t begin, int64_t end, int thread) {
          ASSERT_LT(thread, n_threads);
          for (int64_t i = begin; i < end; ++i) ++visits[i];
        });
        for (auto& v : visits) ASSERT_EQ(v, 1);
      }
    }
  }
}

TEST(ThreadTeam, ManyShortLoopsEnd) {
  ThreadTeam team(2);
  std::atomic<int64_t> sum = 0;
  for (int i = 0; i < 20000; ++i)
    team.parallel_for(2, 1, [&](int64_t b, int64_t, int) { sum += b; });
  EXPECT_EQ(sum, 20000);
}

TEST(ThreadTeam, WhoIsDoneHelpsTheOthers) {
  constexpr int kPieces = 8;
  ThreadTeam team(2);
  std::atomic<int> done = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  team.parallel_for(kPieces, 1, [&](int64_t begin, int64_t, int) {
    while (begin == 0 && done < kPieces - 1 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();  // the first piece takes as long as all others
    ++done;
  });
  EXPECT_LT(std::chrono::steady_clock::now(), deadline);
}

}  // namespace
}  // namespace enxuto
