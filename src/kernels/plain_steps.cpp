#include "kernels/plain_steps.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "base/float16.h"
#include "kernels/row_sums.h"

namespace enxuto {
namespace {

constexpr uint32_t kHalfOfBf16 = 0x8000;  // what rounds to the nearest when it is added

// The upper half of `average` and w change places.
uint32_t exchange_upper(uint16_t& w, uint32_t average) {
  const uint32_t exchanged = uint32_t{w} << 16 | (average & 0xffff);
  w = static_cast<uint16_t>(average >> 16);
  return exchanged;
}

}  // namespace

float normal_at(const Chance& chance, uint32_t i) {
  const float u = 1 - chance.at(2 * i), v = chance.at(2 * i + 1);  // u > 0
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi_v<float> * v);
}

ProjectedSquares projected_moments(const AdamRates& rates, const float* r, int64_t n, float* m,
                                   float* v) {
  const float new1 = 1 - rates.beta1, new2 = 1 - rates.beta2;
  for (int64_t i = 0; i < n; ++i) {
    const float gradient = rates.gradient_scale * r[i];
    m[i] = rates.beta1 * m[i] + new1 * gradient;
    v[i] = rates.beta2 * v[i] + new2 * gradient * gradient;
  }
  const auto square = [](float value) { return value * value; };
  return {sum_of(static_cast<size_t>(n),
                 [&](size_t i) { return square(m[i] / (std::sqrt(v[i]) + rates.epsilon)); }),
          sum_of(static_cast<size_t>(n),
                 [&](size_t i) { return square(rates.gradient_scale * r[i]); })};
}

void plain_step(float decay, float by, const float* g, int64_t n, float* w) {
  for (int64_t i = 0; i < n; ++i) w[i] = decay * w[i] - by * g[i];
}

void average_step(float share, const float* w, int64_t n, float* average) {
  for (int64_t i = 0; i < n; ++i) average[i] += share * (w[i] - average[i]);
}

void average_step(float share, const uint16_t* w, int64_t n, float* average) {
  for (int64_t i = 0; i < n; ++i) average[i] += share * (bf16_to_f32(w[i]) - average[i]);
}

void exchange_halves(int64_t n, uint16_t* w, float* average) {
  for (int64_t i = 0; i < n; ++i)
    average[i] = std::bit_cast<float>(
        exchange_upper(w[i], std::bit_cast<uint32_t>(average[i]) + kHalfOfBf16));
}

void take_back_halves(int64_t n, uint16_t* w, float* average) {
  for (int64_t i = 0; i < n; ++i)
    average[i] = std::bit_cast<float>(exchange_upper(w[i], std::bit_cast<uint32_t>(average[i])) -
                                      kHalfOfBf16);
}

}  // namespace enxuto
