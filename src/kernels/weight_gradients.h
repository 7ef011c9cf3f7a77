// Gradients of a loss by weights, added up over tokens: from what went into a layer (x) and the
// gradient by what came out (dy). Results do not depend on the number of threads.
#pragma once

#include <cstdint>

#include "kernels/dense.h"
#include "platform/threads.h"

namespace enxuto {

// Of y = x w': dw (n_rows, n_columns) += dy' x.   dy: (n_tokens, n_rows), x: (n_tokens, n_columns)
void add_weight_gradient(const Dense& dense, ThreadTeam& team, int64_t n_tokens, const float* dy,
                         int64_t n_rows, const float* x, int64_t n_columns, float* dw);

// Of a bias: db (n) += the sum of dy's rows, (n_tokens, n).
void add_bias_gradient(ThreadTeam& team, int64_t n_tokens, const float* dy, int64_t n, float* db);

// Of y = x / sqrt(mean(x^2) + epsilon) * w: dw (n) += the sum over rows, (n_rows, n), of dy times
// what w is multiplied with.
void add_norm_gradient(ThreadTeam& team, int64_t n_rows, const float* x, const float* dy,
                       float epsilon, int64_t n, float* dw);

}  // namespace enxuto
