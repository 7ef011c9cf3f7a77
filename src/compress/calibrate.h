// Calibration: how much each column of a linear layer's input carries, on a text.
//
// A few tokens (the first ones above all, on which attention rests) have inputs a thousand times
// larger than all others, and would decide alone. A token whose energy is above the usual counts
// only as much as a usual one does.
#pragma once

#include <map>
#include <vector>

#include "compress/calibration_text.h"
#include "compress/weights.h"
#include "compress/workbench.h"

namespace enxuto {

// How much each of the tokens counts: 1, or less where its energy is an outlier of its pass.
std::vector<float> token_weights(const float* x, int64_t x_stride, int64_t n_tokens,
                                 int64_t columns);

// Mean squares of one input's columns, outliers capped.
class ColumnEnergy {
 public:
  explicit ColumnEnergy(std::span<double> sums) : sums_(sums) {}  // (columns), zeros
  // x: (n_tokens, columns), rows x_stride floats apart.
  void add(const float* x, int64_t x_stride, int64_t n_tokens);
  void mean(std::span<float> mean) const;

 private:
  std::span<double> sums_;
  double weight_ = 0;
};

// The text before the first layer, and through one: all chunks, while the layer is in memory.
Result<HiddenStates> begin_text(const Workbench& bench,
                                const std::vector<std::vector<Token>>& chunks);
Status run_text(const Workbench& bench, uint32_t layer,
                const std::vector<std::vector<Token>>& chunks, HiddenStates& states);

// Importance of the columns, by the tensor whose input it is (Weight::input). Lies in the arena.
using Importance = std::map<const Tensor*, std::span<const float>>;

Result<Importance> measure_importance(const Workbench& bench, const std::vector<Weight>& weights,
                                      const std::vector<std::vector<Token>>& chunks);

}  // namespace enxuto
