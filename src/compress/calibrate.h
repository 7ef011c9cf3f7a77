// Calibration: how much each column of a linear layer's input carries, on a text.
//
// A few tokens (the first ones above all, on which attention rests) have inputs a thousand times
// larger than all others, and would decide alone. A token whose energy is above the usual counts
// only as much as a usual one does.
#pragma once

#include <map>
#include <vector>

#include "base/progress.h"
#include "compress/calibration_text.h"
#include "compress/weights.h"
#include "infer/session.h"

namespace enxuto {

// How much each of the tokens counts: 1, or less where its energy is an outlier of its pass.
std::vector<float> token_weights(const float* x, int64_t x_stride, int64_t n_tokens,
                                 int64_t columns);

// Mean squares of one input's columns, outliers capped.
class ColumnEnergy {
 public:
  explicit ColumnEnergy(uint64_t columns) : sums_(columns) {}
  // x: (n_tokens, columns), rows x_stride floats apart.
  void add(const float* x, int64_t x_stride, int64_t n_tokens);
  std::vector<float> mean() const;

 private:
  std::vector<double> sums_;
  double weight_ = 0;
};

// Importance of the columns, by the tensor whose input it is (Weight::input).
using Importance = std::map<const Tensor*, std::vector<float>>;

Result<Importance> measure_importance(Session& session, const std::vector<Weight>& weights,
                                      const std::vector<std::vector<Token>>& chunks,
                                      const Progress& progress);

}  // namespace enxuto
