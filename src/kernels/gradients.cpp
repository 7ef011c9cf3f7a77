#include "kernels/gradients.h"

#include <cmath>

#include "kernels/row_sums.h"

namespace enxuto {
namespace {

// 1 / (1 + e^-x)
float sigmoid(float x) {
  const float e = exp_below_zero(-std::fabs(x)), small = e / (1 + e);
  return x < 0 ? small : 1 - small;
}

// A gate's value and slope, of the gate itself.
struct Gated {
  float value, slope;
};

// gelu(g) = g sigmoid(2 u), u = root (g + c g^3), as tanh(u) = 2 sigmoid(2 u) - 1
Gated gelu(float g) {
  constexpr float kTwoRoots = 2 * 0.79788456f, kCube = 0.044715f;  // sqrt(2 / pi)
  const float s = sigmoid(kTwoRoots * g * (1 + kCube * g * g));
  return {g * s, s * (1 + g * (1 - s) * kTwoRoots * (1 + 3 * kCube * g * g))};
}

template <class Function>
void gate_gradient(float* gate, float* up, const float* dy, int64_t n, const Function& f) {
  for (int64_t i = 0; i < n; ++i) {
    const Gated gated = f(gate[i]);
    gate[i] = dy[i] * up[i] * gated.slope;
    up[i] = dy[i] * gated.value;
  }
}

}  // namespace

// With s = 1 / sqrt(mean(x^2) + epsilon):   dx = s w dy - x s^3 sum(w dy x) / n
void rms_norm_gradient(const float* x, const float* weight, float epsilon, int64_t n,
                       const float* dy, float* dx) {
  const auto size = static_cast<size_t>(n);
  const double squares = sum_of(size, [&](size_t i) { return x[i] * x[i]; });
  const double along = sum_of(size, [&](size_t i) { return weight[i] * dy[i] * x[i]; });
  const double scale = 1 / std::sqrt(squares / static_cast<double>(n) + epsilon);
  const auto s = static_cast<float>(scale),
             back = static_cast<float>(scale * scale * scale * along / static_cast<double>(n));
  for (int64_t i = 0; i < n; ++i) dx[i] = s * weight[i] * dy[i] - back * x[i];
}

void silu_mul_gradient(float* gate, float* up, const float* dy, int64_t n) {
  gate_gradient(gate, up, dy, n, [](float g) {
    const float s = sigmoid(g);
    return Gated{g * s, s * (1 + g * (1 - s))};
  });
}

void gelu_mul_gradient(float* gate, float* up, const float* dy, int64_t n) {
  gate_gradient(gate, up, dy, n, gelu);
}

void gelu_gradient(float* x, const float* dy, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = dy[i] * gelu(x[i]).slope;
}

}  // namespace enxuto
