#include "train/norm_gradient.h"

#include "kernels/kernels.h"
#include "kernels/layer_norm_gradient.h"
#include "kernels/weight_gradients.h"

namespace enxuto {

void norm_gradient(const HyperParameters& hyper, const float* x, const float* weights,
                   const float* dy, float* dx) {
  const auto back = hyper.norm == Norm::kRms ? kernels().rms_norm_gradient : layer_norm_gradient;
  back(x, weights, hyper.norm_epsilon, hyper.width, dy, dx);
}

void add_norm_gradient(const HyperParameters& hyper, ThreadTeam& team, const NormGradient& of,
                       float* dw, float* db) {
  const auto n = static_cast<int64_t>(of.w.columns());
  const float epsilon = hyper.norm_epsilon;
  if (!of.bias) return add_norm_gradient(team, of.n_rows, of.x, of.dy, epsilon, n, dw);
  add_layer_norm_gradient(team, of.n_rows, of.x, of.dy, epsilon, n, dw);
  add_bias_gradient(team, of.n_rows, of.dy, n, db);
}

}  // namespace enxuto
