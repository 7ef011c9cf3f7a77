// The covariances of all linear inputs, or of outputs (output_covariances.h), made once and kept
// factored in a nameless file, or in the state folder: those of one layer at a time are in memory,
// or a single one.
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
  // Claim the disk for all of them, in a nameless file in `folder` where there is no state.
  // Inputs: in blocks of at most so many columns. Outputs: those of the matrices of the layers.
  static Result<CovarianceFile> of_inputs(const Dense& dense, const std::vector<Weight>& weights,
                                          uint64_t most_columns, const std::string& folder,
                                          const State* state = nullptr);
  static Result<CovarianceFile> of_outputs(const Dense& dense, const std::vector<Weight>& weights,
                                           uint32_t n_layers, const std::string& folder,
                                           const State* state = nullptr);

  // Room for one layer's, at the beginning of a stage, right after its hidden states; or for one.
  Status begin(const Workbench& bench);
  Status begin_single(const Workbench& bench);

  // Those of a layer, or of the head (n_layers): empty, to be filled.
  void open_layer(uint32_t layer);
  std::map<const Tensor*, Covariance>& opened() { return covariances_; }
  // Writes them, factored.
  Status keep();
  // Whether the state has all of them.
  bool complete() const;
  std::vector<const Tensor*> tensors_of(uint32_t layer) const;
  // Where the covariance of this input or output belongs; nothing where it has none.
  std::optional<uint32_t> layer_of(const Tensor& tensor) const;

  // Of the input of a weight that has one; its layer is read where it is not in memory. Valid until
  // one of another layer is asked for.
  Result<const Covariance*> of(const Weight& weight);
  // One that there is, alone, as it was kept. Valid until the next call.
  Result<Covariance*> single(const Tensor& tensor);

 private:
  struct Place {
    const Tensor* tensor;
    uint32_t layer;
    uint64_t size;  // its inputs, or outputs
    uint64_t most_columns = kCovarianceColumns;
    uint64_t offset = 0, bytes = 0;
  };
  CovarianceFile(const Dense& dense, std::vector<Place> places, const State* state,
                 const char* record)
      : dense_(dense), state_(state), record_(record), places_(std::move(places)) {}
  static Result<CovarianceFile> create(const Dense& dense, std::vector<Place> places,
                                       const std::string& folder, const State* state,
                                       const char* record);
  Status take(const Workbench& bench, uint64_t bytes);
  const Place* place_of(const Tensor& tensor) const;
  Covariance& open(const Place& place, std::span<float> memory);
  std::string record_of(const Place& place) const;
  std::span<uint8_t> bytes_of_opened(const Place& place);
  Status write(const Place& place, ByteView bytes);
  Status read(const Place& place, std::span<uint8_t> to) const;

  Dense dense_;
  const State* state_;               // or
  std::optional<ScratchFile> file_;  // nothing
  const char* record_;               // its name in the state
  std::vector<Place> places_;
  std::span<float> memory_;
  std::map<const Tensor*, Covariance> covariances_;  // of layer_
  std::optional<uint32_t> layer_;
};

}  // namespace enxuto
