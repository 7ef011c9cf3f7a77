// What each format would cost a tensor: encode a sample of its rows, decode, compare.
#pragma once

#include <vector>

#include "compress/column_scales.h"
#include "compress/feedback.h"
#include "compress/weights.h"
#include "compress/workbench.h"

namespace enxuto {

// What rows are rounded by: error feedback under a covariance, or each column for itself.
struct Metric {
  const Covariance* covariance;  // or null
  const float* importance;       // (columns), or null for all equal
};

// Rows of floats into blocks. scratch: round_scratch(…) floats.
void encode_rows(const Codec& codec, const Metric& metric, const float* rows, int64_t n_rows,
                 int64_t columns, int sweeps, uint8_t* blocks, float* scratch);

// Rows spread over a tensor, decoded once: enough for an error to be known to a percent or so.
class RowSample {
 public:
  // memory: sample_floats(tensor), which the rows then lie in. The covariance is of inputs under
  // the scales, the importance of the inputs as they are.
  static Result<RowSample> of(const Workbench& bench, const Tensor& tensor, const Metric& metric,
                              const ColumnScales& scales, std::span<float> memory);

  // Once, before it is asked: what its outputs carry.
  void weigh();
  // Squared error of the outputs over the squared outputs, as the metric knows them: e' H e where
  // it has a covariance, else squares weighted by importance. 0 for the tensor's own type.
  // as_written: scaled and with error feedback, where there is a covariance; else a plain copy.
  // Any number of threads may ask.
  double relative_error(Type type, bool as_written) const;

 private:
  RowSample(const Tensor& tensor, const Metric& metric, const ColumnScales& scales, int sweeps,
            std::span<float> rows);
  template <class Body>
  double over_pieces(const Body& body) const;
  void scale(float* rows, int64_t n_rows) const;
  double cost_of(const float* errors, int64_t n_rows, float* scratch) const;

  const Tensor* tensor_;
  Metric metric_;
  const ColumnScales* scales_;
  int sweeps_;
  int64_t n_rows_, columns_;
  std::span<const float> rows_;
  double energy_ = 0;
};

uint64_t sample_floats(const Tensor& tensor);
// Of all samples of a layer, of that which has the most.
uint64_t sample_floats_of_layers(const std::vector<Weight>& weights);

}  // namespace enxuto
