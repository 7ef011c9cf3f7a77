// Internal: lays pieces of memory one after the other.
#pragma once

#include <cstdint>

#include "base/checked.h"

namespace enxuto {

inline constexpr uint64_t kLine = 64;  // pieces start on cache lines
// Far above any machine, far below where sums of pieces could wrap.
inline constexpr uint64_t kAbsurdBytes = uint64_t{1} << 56;

// Hands out offsets in bytes; remembers whether a size was beyond reason.
class Pieces {
 public:
  explicit Pieces(uint64_t begin = 0) : end_(begin) {}
  uint64_t next(OptionalSize bytes) {
    const uint64_t offset = end_;
    const OptionalSize end = checked_add(end_, checked_align(bytes, kLine));
    if (!end || *end > kAbsurdBytes)
      absurd_ = true;
    else
      end_ = *end;
    return offset;
  }
  uint64_t end() const { return end_; }
  bool absurd() const { return absurd_; }

 private:
  uint64_t end_;
  bool absurd_ = false;
};

inline OptionalSize floats(uint64_t rows, OptionalSize columns) {
  return checked_mul(checked_mul(rows, columns), sizeof(float));
}

}  // namespace enxuto
