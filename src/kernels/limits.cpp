#include "kernels/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "kernels/kernels.h"

namespace enxuto {
namespace {

constexpr int kTimes = 3;
constexpr int64_t kPiece = 1 << 20;  // bytes
constexpr int64_t kRounds = 10'000;  // of multiply_codes
constexpr int64_t kSharesOfThread = 8;

// work() does so much; how much of it in a second.
template <class Work>
double best_rate(const Work& work) {
  double best = 0;
  for (int i = 0; i < kTimes; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const double amount = work();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, amount / std::max(seconds.count(), 1e-9));
  }
  return best;
}

uint64_t add_up(const uint8_t* bytes, int64_t n) {
  constexpr int kSums = 8;
  uint64_t sums[kSums] = {}, words[kSums];
  for (; n >= static_cast<int64_t>(sizeof words); n -= sizeof words, bytes += sizeof words) {
    std::memcpy(words, bytes, sizeof words);
    for (int i = 0; i < kSums; ++i) sums[i] += words[i];
  }
  uint64_t sum = 0;
  for (const uint64_t s : sums) sum += s;
  return sum;
}

}  // namespace

double read_rate(ThreadTeam& team, std::span<const std::span<const uint8_t>> pieces) {
  std::atomic<uint64_t> sum = 0;  // that nothing is left out
  return best_rate([&] {
    double bytes = 0;
    for (const auto piece : pieces) {
      const auto size = static_cast<int64_t>(piece.size());
      team.parallel_for(size, kPiece, [&](int64_t begin, int64_t end, int) {
        sum += add_up(piece.data() + begin, end - begin);
      });
      bytes += static_cast<double>(size);
    }
    return bytes;
  });
}

double product_rate(ThreadTeam& team) {
  int8_t codes[kPeakCodes];
  std::ranges::fill(codes, int8_t{1});
  return best_rate([&] {
    std::atomic<int64_t> products = 0;
    team.parallel_for(kSharesOfThread * team.size(), 1, [&](int64_t, int64_t, int) {
      float sum;
      products += kernels().multiply_codes(codes, kRounds, &sum);
    });
    return static_cast<double>(products);
  });
}

}  // namespace enxuto
