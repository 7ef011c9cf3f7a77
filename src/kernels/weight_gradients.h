// Gradients of a loss by biases and norms, added up over tokens: from what went into a layer (x)
// and the gradient by what came out (dy); those by matrices are WeightProducts'. Results do not
// depend on the number of threads.
#pragma once

#include <cstdint>

#include "platform/threads.h"

namespace enxuto {

// Of a bias: db (n) += the sum of dy's rows, (n_tokens, n).
void add_bias_gradient(ThreadTeam& team, int64_t n_tokens, const float* dy, int64_t n, float* db);

// Of y = x / sqrt(mean(x^2) + epsilon) * w: dw (n) += the sum over rows, (n_rows, n), of dy times
// what w is multiplied with.
void add_norm_gradient(ThreadTeam& team, int64_t n_rows, const float* x, const float* dy,
                       float epsilon, int64_t n, float* dw);

// Of y = (x - mean(x)) / sqrt(variance(x) + epsilon) * w + b: the same; that by b is a bias's.
void add_layer_norm_gradient(ThreadTeam& team, int64_t n_rows, const float* x, const float* dy,
                             float epsilon, int64_t n, float* dw);

}  // namespace enxuto
