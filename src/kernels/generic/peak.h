// The products of a tile without all that surrounds them: what the registers could do at most.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace enxuto::generic {

template <class T>
int64_t multiply_codes(const int8_t* codes, int64_t rounds, float* sum) {
  constexpr int kSums = 6, kSteps = kPeakCodes / 64;
  typename T::Bytes w[kSums];
  typename T::Ints total[kSums];
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i)
    w[i] = T::load_bytes(codes + 64 * i), total[i] = T::widen(T::nothing());
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" ::: "memory");  // the codes may be others: nothing is computed ahead
    typename T::Partial partial[kSums];
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) partial[i] = T::nothing();
#pragma GCC unroll 16
    for (int step = 0; step < kSteps; ++step) {
      const auto x = T::load_bytes(codes + 64 * step);
#pragma GCC unroll 16
      for (int i = 0; i < kSums; ++i)
        partial[i] = T::template add_products<false>(partial[i], w[i], x);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) total[i] = T::widen_add(total[i], partial[i]);
  }
  *sum = 0;
  for (int i = 0; i < kSums; ++i) {
    float lanes[T::kLanes];
    T::store(lanes, T::to_floats(total[i]));
    for (const float lane : lanes) *sum += lane;
  }
  return rounds * kSteps * kSums * static_cast<int64_t>(sizeof(typename T::Bytes));
}

}  // namespace enxuto::generic
