#include "kernels/reference/reference_learning.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/float16.h"

namespace enxuto::reference {
namespace {

constexpr float kMeanCodes = 127, kSquareCodes = 255;

// A NaN is larger than all.
float largest_or_nan(const float* x, int64_t n) {
  float most = 0;
  for (int64_t i = 0; i < n; ++i) most = std::isnan(x[i]) ? NAN : std::max(most, std::fabs(x[i]));
  return most;
}

// The whole code at or below a root; of what is no number 0.
float low_code(float root, float last) {
  return root == root ? std::min(std::floor(root), last) : 0;
}

// A gate's value and slope, of the gate itself.
struct Gated {
  double value, slope;
};

// Of g sigmoid(z), where z grows by `steepness` with g.
Gated swish(double g, double z, double steepness) {
  const double s = 1 / (1 + std::exp(-z));
  return {g * s, s * (1 + g * (1 - s) * steepness)};
}

template <class Function>
void gate_gradient(float* gate, float* up, const float* dy, int64_t n, const Function& f) {
  for (int64_t i = 0; i < n; ++i) {
    const Gated gated = f(gate[i]);
    gate[i] = static_cast<float>(dy[i] * up[i] * gated.slope);
    up[i] = static_cast<float>(dy[i] * gated.value);
  }
}

}  // namespace

float largest(const float* x, int64_t n) { return *std::max_element(x, x + n); }

double sum_exponentials(const float* x, int64_t n, float top) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(double{x[i]} - top);
  return sum;
}

double exponentials(float* x, int64_t n, float top, float scale) {
  const double sum = sum_exponentials(x, n, top);
  for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(scale * std::exp(double{x[i]} - top));
  return sum;
}

double dot(const float* x, const float* y, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double{x[i]} * y[i];
  return sum;
}

void attention_gradient(float* scores, float* gradients, int64_t n, const AttentionRow& row) {
  for (int64_t i = 0; i < n; ++i) {
    const double share = std::exp(double{scores[i]} - row.log_sum);
    scores[i] = static_cast<float>(share);
    gradients[i] = static_cast<float>(row.scale * share * (double{gradients[i]} - row.along));
  }
}

// With s = 1 / sqrt(mean(x^2) + epsilon):   dx = s w dy - x s^3 sum(w dy x) / n
void rms_norm_gradient(const float* x, const float* weight, float epsilon, int64_t n,
                       const float* dy, float* dx) {
  const auto size = static_cast<double>(n);
  const double s = 1 / std::sqrt(dot(x, x, n) / size + epsilon);
  double along = 0;
  for (int64_t i = 0; i < n; ++i) along += double{weight[i]} * dy[i] * x[i];
  for (int64_t i = 0; i < n; ++i)
    dx[i] = static_cast<float>(s * weight[i] * dy[i] - x[i] * s * s * s * along / size);
}

void silu_mul_gradient(float* gate, float* up, const float* dy, int64_t n) {
  gate_gradient(gate, up, dy, n, [](double g) { return swish(g, g, 1); });
}

// gelu(g) = g sigmoid(2 u), u = root (g + c g^3), as tanh(u) = 2 sigmoid(2 u) - 1
void gelu_mul_gradient(float* gate, float* up, const float* dy, int64_t n) {
  constexpr double kTwoRoots = 2 * 0.79788456f, kCube = 0.044715f;  // sqrt(2 / pi)
  gate_gradient(gate, up, dy, n, [](double g) {
    const double bend = kCube * g * g;
    return swish(g, kTwoRoots * g * (1 + bend), kTwoRoots * (1 + 3 * bend));
  });
}

void gelu_gradient(float* x, const float* dy, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float up = 1;
    gelu_mul_gradient(x + i, &up, dy + i, 1);
  }
}

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

// Code c stands for (c / 127)^2 of the scale: between c and c + 1 there are 2 c + 1 parts of it.
void encode_mean(const float* m, int64_t n, const Chance& chance, int8_t* codes, float* scale) {
  const float most = *scale = largest_or_nan(m, n);
  const float parts = most > 0 ? kMeanCodes * kMeanCodes / most : 0;
  for (int64_t i = 0; i < n; ++i) {
    const float part = parts * std::fabs(m[i]), low = low_code(std::sqrt(part), kMeanCodes);
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
  const float root = *scale = std::sqrt(largest_or_nan(v, n));
  const float parts = root > 0 ? kSquareCodes * kSquareCodes / root : 0;
  for (int64_t i = 0; i < n; ++i) {
    const float part = parts * std::sqrt(v[i]);
    const float low = low_code(std::sqrt(part), kSquareCodes), high = low + 1;
    const float below = low * low * (low * low), above = high * high * (high * high);
    const bool up = part * part - below > chance.at(static_cast<uint32_t>(i)) * (above - below);
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

void round_to_bf16(const float* values, int64_t n, uint16_t* rounded) {
  for (int64_t i = 0; i < n; ++i) rounded[i] = f32_to_bf16(values[i]);
}

void round_by_chance(const float* values, int64_t n, const Chance& chance, uint16_t* rounded) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t part = chance.bits_at(static_cast<uint32_t>(i)) >> 8;
    rounded[i] = std::isfinite(values[i])
                     ? static_cast<uint16_t>((std::bit_cast<uint32_t>(values[i]) + part) >> 16)
                     : f32_to_bf16(values[i]);
  }
}

}  // namespace enxuto::reference
