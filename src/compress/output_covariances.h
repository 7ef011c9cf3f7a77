// What the outputs of a weight matrix have in common, as the model's answer sees them: which errors
// of one row can be made up for by errors of others.
//
//   O = sum over tokens of g g'      (rows, rows); g: the gradient at the output of the cross
//                                    entropy against labels that the model draws
//
// With H, the covariance of the inputs, an error E costs about tr(O E H E'). (Tseng, Sun, De Sa,
// "Model-Preserving Adaptive Rounding", 2025.) Made once, and kept factored in a covariance_file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compress/column_scales.h"
#include "compress/covariance_file.h"
#include "compress/weights.h"
#include "compress/workbench.h"

namespace enxuto {

class OutputCovariances {
 public:
  // Of all matrices of the layers. Claims the disk for them.
  static Result<OutputCovariances> create(const Dense& dense, const std::vector<Weight>& weights,
                                          uint32_t n_layers, const std::string& folder,
                                          const State* state);

  // Runs the first plan.weigh_chunks of the text there and back, where the state has not all.
  Status measure(const Workbench& bench, const std::vector<std::vector<Token>>& chunks);

  // Room for one, at the beginning of a stage.
  Status begin(const Workbench& bench) { return file_.begin_single(bench); }
  // Of the outputs as they are written, under the scales; null where the tensor has none. Valid
  // until the next call.
  Result<const Covariance*> of(const Tensor& tensor, const ColumnScales& scales, ThreadTeam& team);

 private:
  OutputCovariances(const Dense& dense, CovarianceFile file)
      : dense_(dense), file_(std::move(file)) {}
  Status keep_layer(ThreadTeam& team);
  Status add(ThreadTeam& team, const Tensor& tensor, const float* gradients, int64_t n_rows,
             int64_t n_tokens);

  Dense dense_;
  CovarianceFile file_;
  std::optional<uint32_t> layer_;  // that is being measured
};

}  // namespace enxuto
