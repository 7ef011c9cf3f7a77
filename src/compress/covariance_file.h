// The covariances of all linear inputs, made once and kept factored in a nameless file: those of
// one layer at a time are in memory.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compress/covariance.h"
#include "compress/weights.h"
#include "compress/workbench.h"
#include "platform/scratch_file.h"

namespace enxuto {

class CovarianceFile {
 public:
  // Claims the disk for all of them.
  static Result<CovarianceFile> create(const Dense& dense, const std::vector<Weight>& weights,
                                       const CompressionPlan& plan, const std::string& folder);

  // Room for one layer's, at the beginning of a stage, right after its hidden states.
  Status begin(const Workbench& bench);

  // Those of a layer, or of the head (n_layers): empty, to be filled.
  void open_layer(uint32_t layer);
  std::map<const Tensor*, Covariance>& opened() { return covariances_; }
  // Writes them, factored.
  Status keep();

  // Of the input of a weight that has one; its layer is read where it is not in memory. Valid until
  // one of another layer is asked for.
  Result<const Covariance*> of(const Weight& weight);

 private:
  struct Place {
    const Tensor* input;
    uint32_t layer;
    uint64_t offset, bytes;
  };
  CovarianceFile(const Dense& dense, ScratchFile file) : dense_(dense), file_(std::move(file)) {}
  template <class Body>
  Status for_opened(const Body& body);

  Dense dense_;
  ScratchFile file_;
  std::vector<Place> places_;
  uint64_t most_ = 0;  // bytes of a layer
  std::span<float> memory_;
  std::map<const Tensor*, Covariance> covariances_;  // of layer_
  std::optional<uint32_t> layer_;
};

}  // namespace enxuto
