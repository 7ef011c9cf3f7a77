// Steps of the backward pass, element by element or row by row: from the gradient of a loss by what
// came out of a step (dy) to that by what went in. Sums in double.
#pragma once

#include <cstdint>

namespace enxuto {

// Of y = x / sqrt(mean(x^2) + epsilon) * weight; all (n). dx may be dy.
void rms_norm_gradient(const float* x, const float* weight, float epsilon, int64_t n,
                       const float* dy, float* dx);

// Of y = silu(gate) * up and y = gelu(gate) * up (tanh form): gate and up become their gradients.
void silu_mul_gradient(float* gate, float* up, const float* dy, int64_t n);
void gelu_mul_gradient(float* gate, float* up, const float* dy, int64_t n);

// Of y = gelu(x): x becomes its gradient.
void gelu_gradient(float* x, const float* dy, int64_t n);

}  // namespace enxuto
