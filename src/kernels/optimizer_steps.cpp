#include "kernels/optimizer_steps.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/float16.h"
#include "kernels/row_sums.h"

namespace enxuto {
namespace {

constexpr float kMeanCodes = 127, kSquareCodes = 255;
constexpr uint32_t kHalfOfBf16 = 0x8000;  // what rounds to the nearest when it is added

// The upper half of `average` and w change places.
uint32_t exchange_upper(uint16_t& w, uint32_t average) {
  const uint32_t exchanged = uint32_t{w} << 16 | (average & 0xffff);
  w = static_cast<uint16_t>(average >> 16);
  return exchanged;
}

}  // namespace

void adam_step(const AdamRates& r, const float* g, int64_t n, float* w, float* m, float* v) {
  const float new1 = 1 - r.beta1, new2 = 1 - r.beta2, rate = r.rate * r.mean_scale;
  for (int64_t i = 0; i < n; ++i) {
    const float gradient = r.gradient_scale * g[i];
    m[i] = r.beta1 * m[i] + new1 * gradient;
    v[i] = r.beta2 * v[i] + new2 * gradient * gradient;
    w[i] = r.decay * w[i] - rate * m[i] / (std::sqrt(v[i]) * r.root_scale + r.epsilon);
  }
}

void sgd_step(const SgdRates& r, const float* g, int64_t n, float* w, float* m) {
  for (int64_t i = 0; i < n; ++i) {
    m[i] = r.momentum * m[i] + r.gradient_scale * g[i];
    w[i] = r.decay * w[i] - r.rate * m[i];
  }
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

// Code c stands for (c / 127)^2 of the scale: between c and c + 1 there are 2 c + 1 parts of it.
void encode_mean(const float* m, int64_t n, const Chance& chance, int8_t* codes, float* scale) {
  float most = 0;
  for (int64_t i = 0; i < n; ++i) most = std::max(most, std::fabs(m[i]));
  *scale = most;
  const float parts = most > 0 ? kMeanCodes * kMeanCodes / most : 0;
  for (int64_t i = 0; i < n; ++i) {
    const float part = parts * std::fabs(m[i]);
    const float low = std::min(std::floor(std::sqrt(part)), kMeanCodes);
    const bool up = part - low * low > chance.at(static_cast<uint32_t>(i)) * (2 * low + 1);
    const int code = std::min(static_cast<int>(low) + up, static_cast<int>(kMeanCodes));
    codes[i] = static_cast<int8_t>(m[i] < 0 ? -code : code);
  }
}

void decode_mean(const int8_t* codes, float scale, int64_t n, float* m) {
  const float part = scale / (kMeanCodes * kMeanCodes);
  for (int64_t i = 0; i < n; ++i) {
    const float code = codes[i];
    m[i] = part * code * std::fabs(code);
  }
}

// Code c stands for (c / 255)^2 of the largest root, so for (c / 255)^4 of the largest v.
void encode_square(const float* v, int64_t n, const Chance& chance, uint8_t* codes, float* scale) {
  float most = 0;
  for (int64_t i = 0; i < n; ++i) most = std::max(most, v[i]);
  const float root = std::sqrt(most);
  *scale = root;
  const float parts = root > 0 ? kSquareCodes * kSquareCodes / root : 0;
  for (int64_t i = 0; i < n; ++i) {
    const float part = parts * std::sqrt(v[i]);
    const float low = std::min(std::floor(std::sqrt(part)), kSquareCodes), high = low + 1;
    const float below = low * low, above = high * high;
    const bool up = part * part - below * below >
                    chance.at(static_cast<uint32_t>(i)) * (above * above - below * below);
    const int code = std::min(static_cast<int>(low) + up, static_cast<int>(kSquareCodes));
    codes[i] = static_cast<uint8_t>(std::max(code, v[i] > 0 ? 1 : 0));
  }
}

void decode_square(const uint8_t* codes, float scale, int64_t n, float* v) {
  const float part = scale / (kSquareCodes * kSquareCodes);
  for (int64_t i = 0; i < n; ++i) {
    const float code = codes[i], root = part * code * code;
    v[i] = root * root;
  }
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

void round_to_bf16(const float* values, int64_t n, const Chance& chance, uint16_t* rounded) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(values[i]);
    const auto part = static_cast<uint32_t>(chance.at(static_cast<uint32_t>(i)) * 0x1p16f);
    const bool finite = (bits & 0x7f800000) != 0x7f800000;
    rounded[i] = static_cast<uint16_t>((bits + (finite ? part : 0)) >> 16);
  }
}

}  // namespace enxuto
