// Carries the calibration text through the model one layer at a time, all chunks through a layer
// before the next one is read, and gathers the covariance of each linear layer's input on the way.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "compress/covariance.h"
#include "compress/weights.h"
#include "compress/workbench.h"

namespace enxuto {

class LayerWalk {
 public:
  // The session's batch may be shorter than a chunk.
  LayerWalk(const Workbench& bench, const Dense& dense, const std::vector<Weight>& weights,
            const std::vector<std::vector<Token>>& chunks);

  // Takes its memory, before anything else of the stage, and looks the tokens up.
  Status begin();
  // Runs the next layer over all chunks.
  Status next();
  uint32_t layers_done() const { return layers_done_; }
  // Of the input of a weight in the layer that was run last, factored.
  const Covariance& of(const Weight& weight) const { return covariances_.at(weight.input); }

 private:
  void see(const Tensor& tensor, const float* x, int64_t x_stride, int64_t n_tokens);

  const Workbench& bench_;
  const Dense& dense_;
  const std::vector<Weight>& weights_;
  const std::vector<std::vector<Token>>& chunks_;
  uint32_t layers_done_ = 0;
  HiddenStates states_;  // of each chunk, before the next layer
  std::map<const Tensor*, Covariance> covariances_;
};

}  // namespace enxuto
