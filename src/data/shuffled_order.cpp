#include "data/shuffled_order.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace enxuto {
namespace {

// SplitMix64's finisher: every bit of the result depends on every bit of the value.
uint64_t mixed(uint64_t value) {
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9;
  value = (value ^ value >> 27) * 0x94D049BB133111EB;
  return value ^ value >> 31;
}

}  // namespace

ShuffledOrder::ShuffledOrder(uint64_t n, uint64_t seed)
    : n_(n), half_bits_(std::max(1, (static_cast<int>(std::bit_width(n - 1)) + 1) / 2)) {
  assert(n > 0);
  for (uint64_t& key : keys_) key = mixed(seed += 0x9E3779B97F4A7C15);
}

uint64_t ShuffledOrder::operator[](uint64_t i) const {
  assert(i < n_);
  do i = permute(i);
  while (i >= n_);
  return i;
}

uint64_t ShuffledOrder::permute(uint64_t value) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t left = value >> half_bits_, right = value & mask;
  for (const uint64_t key : keys_) {
    const uint64_t next = left ^ (mixed(right ^ key) & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

}  // namespace enxuto
