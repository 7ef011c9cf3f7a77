// Sums over a row of logits, in a form that compilers vectorize.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace enxuto {

// e^x for x in [-87, 0], relative error below 2e-7.
inline float exp_below_zero(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 x 2^23: adding it rounds to an integer
  x = std::max(x, -87.0f);
  const float shifted = x * 1.44269504f + kMagic;
  const float n = shifted - kMagic;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p) +
                              (std::bit_cast<uint32_t>(shifted) << 23));
}

// value(0) + … + value(n - 1), block by block: the values in float lanes, the blocks in double.
template <class Value>
double sum_of(size_t n, const Value& value) {
  constexpr size_t kBlock = 64;
  double sum = 0;
  size_t i = 0;
  for (float lanes[kBlock]; i + kBlock <= n; i += kBlock) {
    for (size_t j = 0; j < kBlock; ++j) lanes[j] = value(i + j);
    for (size_t width = kBlock / 2; width > 0; width /= 2)
      for (size_t j = 0; j < width; ++j) lanes[j] += lanes[j + width];
    sum += lanes[0];
  }
  for (; i < n; ++i) sum += value(i);
  return sum;
}

}  // namespace enxuto
