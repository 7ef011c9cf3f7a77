// The numbers 0 … n - 1 in a random order that takes no memory: a Feistel network permutes a power
// of four that is at least n, and is walked until it comes back below n.
#pragma once

#include <array>
#include <cstdint>

namespace enxuto {

class ShuffledOrder {
 public:
  // n > 0. The same seed, the same order.
  ShuffledOrder(uint64_t n, uint64_t seed);
  // What stands at place i < n; each number stands at one place.
  uint64_t operator[](uint64_t i) const;

 private:
  static constexpr int kRounds = 8;
  uint64_t permute(uint64_t value) const;

  uint64_t n_;
  int half_bits_;
  std::array<uint64_t, kRounds> keys_;
};

}  // namespace enxuto
