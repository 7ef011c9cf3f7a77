// The way back of a model's norms, of the kind that it has.
#pragma once

#include <functional>

#include "models/model.h"
#include "platform/threads.h"

namespace enxuto {

// A norm of rows of hyper.width values on the way back: x and the gradient by what came out,
// (n_rows, w.columns()).
struct NormGradient {
  const Tensor& w;
  const Tensor* bias;  // or null
  const float *x, *dy;
  int64_t n_rows;
};

// From dy to the gradient by x, of one row; dx may be dy.
void norm_gradient(const HyperParameters& hyper, const float* x, const float* weights,
                   const float* dy, float* dx);

// dw (w.columns()) and db += the gradients by the weights and, where there is one, the bias: norms
// that have one take the mean off. Of head norms too.
void add_norm_gradient(const HyperParameters& hyper, ThreadTeam& team, const NormGradient& of,
                       float* dw, float* db);

}  // namespace enxuto
