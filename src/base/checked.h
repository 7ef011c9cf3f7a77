// Arithmetic on sizes that come from untrusted bytes: nothing instead of a wrapped number.
#pragma once

#include <cstdint>
#include <optional>

namespace enxuto {

using OptionalSize = std::optional<uint64_t>;

inline OptionalSize checked_add(OptionalSize a, OptionalSize b) {
  uint64_t sum;
  if (!a || !b || __builtin_add_overflow(*a, *b, &sum)) return std::nullopt;
  return sum;
}

inline OptionalSize checked_mul(OptionalSize a, OptionalSize b) {
  uint64_t product;
  if (!a || !b || __builtin_mul_overflow(*a, *b, &product)) return std::nullopt;
  return product;
}

// Next multiple of `alignment` (a power of two), nothing where it would wrap.
inline OptionalSize checked_align(OptionalSize value, uint64_t alignment) {
  OptionalSize sum = checked_add(value, alignment - 1);
  if (!sum) return std::nullopt;
  return *sum & ~(alignment - 1);
}

// For sizes that are known to be sane (our own layouts).
constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace enxuto
