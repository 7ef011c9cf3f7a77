// Carries the calibration text through the model one layer at a time, all chunks through a layer
// before the next one is read, and gathers the covariance of each linear layer's input on the way.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "compress/covariance.h"
#include "compress/weights.h"
#include "infer/session.h"

namespace enxuto {

class LayerWalk {
 public:
  // The session's batch may be shorter than a chunk.
  LayerWalk(Session& session, const Dense& dense, const std::vector<Weight>& weights,
            const std::vector<std::vector<Token>>& chunks);

  // Looks the tokens up: before the first layer.
  Status begin();
  // Runs the next layer over all chunks.
  Status next();
  uint32_t layers_done() const { return layers_done_; }
  // Of the input of a weight in the layer that was run last, factored.
  const Covariance& of(const Weight& weight) const { return covariances_.at(weight.input); }

 private:
  void see(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens);

  Session& session_;
  const Dense& dense_;
  const std::vector<Weight>& weights_;
  const std::vector<std::vector<Token>>& chunks_;
  uint32_t layers_done_ = 0;
  std::vector<float> states_;  // (tokens of all chunks, width), before the next layer
  std::map<const Tensor*, Covariance> covariances_;
};

}  // namespace enxuto
