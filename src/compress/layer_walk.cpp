#include "compress/layer_walk.h"

#include <algorithm>

#include "compress/calibrate.h"

namespace enxuto {

LayerWalk::LayerWalk(const Workbench& bench, const Dense& dense, const std::vector<Weight>& weights,
                     const std::vector<std::vector<Token>>& chunks)
    : bench_(bench), dense_(dense), weights_(weights), chunks_(chunks) {}

Status LayerWalk::begin() {
  ASSIGN_OR_RETURN(states_, begin_text(bench_, chunks_));
  return Status();
}

Status LayerWalk::next() {
  const uint32_t layer = layers_done_;
  covariances_.clear();
  for (const Weight& weight : weights_)
    if (weight.input && weight.layer == layer)
      covariances_.try_emplace(weight.input, dense_, static_cast<int64_t>(weight.input->columns()));
  ForwardHooks hooks;
  hooks.on_linear_input = [this](const Tensor& tensor, const float* x, int64_t stride, int64_t n) {
    see(tensor, x, stride, n);
  };
  bench_.session.set_hooks(std::move(hooks));
  const Status status = run_text(bench_, layer, chunks_, states_);
  bench_.session.set_hooks({});
  TRY(status);
  for (auto& [input, covariance] : covariances_) covariance.factor(bench_.session.team());
  ++layers_done_;
  return Status();
}

void LayerWalk::see(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens) {
  const auto it = covariances_.find(&tensor);
  if (it == covariances_.end()) return;
  const std::vector<float> weights = token_weights(x, x_stride, n_tokens, it->second.columns());
  it->second.add(bench_.session.team(), x, x_stride, n_tokens, weights.data());
}

}  // namespace enxuto
