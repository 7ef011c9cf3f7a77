#include "compress/layer_walk.h"

#include <algorithm>

#include "compress/calibrate.h"
#include "platform/interrupt.h"

namespace enxuto {

LayerWalk::LayerWalk(Session& session, const Dense& dense, const std::vector<Weight>& weights,
                     const std::vector<std::vector<Token>>& chunks)
    : session_(session), dense_(dense), weights_(weights), chunks_(chunks) {}

Status LayerWalk::begin() {
  const size_t width = session_.model().hyper.width;
  size_t n_tokens = 0, at = 0;
  for (const auto& chunk : chunks_) n_tokens += chunk.size();
  states_.resize(n_tokens * width);
  for (const std::span<const Token> chunk : chunks_)
    for (size_t begin = 0; begin < chunk.size(); begin += session_.batch()) {
      const size_t n = std::min<size_t>(session_.batch(), chunk.size() - begin);
      TRY(session_.embed(chunk.subspan(begin, n), states_.data() + at));
      at += n * width;
    }
  return Status();
}

Status LayerWalk::next() {
  const uint32_t layer = layers_done_;
  const Model& model = session_.model();
  covariances_.clear();
  for (const Weight& weight : weights_)
    if (weight.input && weight.layer == layer)
      covariances_.try_emplace(weight.input, dense_, static_cast<int64_t>(weight.input->columns()));
  ForwardHooks hooks;
  hooks.on_linear_input = [this](const Tensor& tensor, const float* x, int64_t stride, int64_t n) {
    see(tensor, x, stride, n);
  };
  session_.set_hooks(std::move(hooks));
  float* state = states_.data();
  Status status;
  for (const auto& chunk : chunks_) {
    for (size_t begin = 0; begin < chunk.size() && status.ok(); begin += session_.batch()) {
      const size_t n = std::min<size_t>(session_.batch(), chunk.size() - begin);
      status = interrupted() ? Status::interrupted()
                             : session_.run_layers(layer, layer + 1, static_cast<uint32_t>(begin),
                                                   static_cast<int64_t>(n), state);
      state += n * model.hyper.width;
    }
  }
  session_.set_hooks({});
  TRY(status);
  for (auto& [input, covariance] : covariances_) covariance.factor(session_.team());
  ++layers_done_;
  return Status();
}

void LayerWalk::see(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens) {
  const auto it = covariances_.find(&tensor);
  if (it == covariances_.end()) return;
  const std::vector<float> weights = token_weights(x, x_stride, n_tokens, it->second.columns());
  it->second.add(session_.team(), x, x_stride, n_tokens, weights.data());
}

}  // namespace enxuto
