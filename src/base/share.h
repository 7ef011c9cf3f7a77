// How several share out a row of things: neighbours stay together, and no share is longer than
// another by more than one.
#pragma once

#include <algorithm>
#include <cstdint>

namespace enxuto {

struct Share {
  uint64_t begin, end;
  uint64_t size() const { return end > begin ? end - begin : 0; }
  Share within(const Share& other) const {
    return {std::max(begin, other.begin), std::min(end, other.end)};
  }
};

constexpr Share share_of(uint64_t n, uint64_t part, uint64_t parts) {
  return {n * part / parts, n * (part + 1) / parts};
}
constexpr uint64_t largest_share(uint64_t n, uint64_t parts) { return (n + parts - 1) / parts; }

}  // namespace enxuto
