// Loops over rows of any length: whole vectors, then what is left of the row as one more, so that a
// value is computed in the same way wherever it lies.
#pragma once

#include "kernels/generic/elementwise.h"

namespace enxuto::generic {

// How many lanes of a vector count.
struct AllLanes {};
struct FirstLanes {
  int64_t n;
};

template <class V>
auto load_lanes(const float* p, AllLanes) {
  return V::load(p);
}
template <class V>
auto load_lanes(const float* p, FirstLanes lanes, float fill = 0) {
  return load_some<V>(p, lanes.n, fill);
}
template <class V>
void store_lanes(float* p, AllLanes, typename V::Floats a) {
  V::store(p, a);
}
template <class V>
void store_lanes(float* p, FirstLanes lanes, typename V::Floats a) {
  store_some<V>(p, lanes.n, a);
}

// body(i, lanes) for each vector of a row of n.
template <class V, class Body>
void for_lanes(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) body(i, AllLanes{});
  if (i < n) body(i, FirstLanes{n - i});
}

// value(i, lanes), added up: eight vectors in float lanes, these sums in double. Lanes that do not
// count have to be zero, or too small to matter.
template <class V, class Value>
double sum_lanes(int64_t n, const Value& value) {
  constexpr int64_t kEight = 8 * V::kLanes;
  double sum = 0;
  int64_t i = 0;
  for (; i + kEight <= n; i += kEight) {
    auto lanes = V::zero();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) lanes = V::add(lanes, value(i + j * V::kLanes, AllLanes{}));
    sum += V::sum(lanes);
  }
  auto lanes = V::zero();
  for_lanes<V>(n - i, [&](int64_t j, auto some) { lanes = V::add(lanes, value(i + j, some)); });
  return sum + V::sum(lanes);
}

}  // namespace enxuto::generic
