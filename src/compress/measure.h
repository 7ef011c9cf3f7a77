// What each format would cost a tensor: encode a sample of its rows, decode, compare.
#pragma once

#include <vector>

#include "base/progress.h"
#include "compress/feedback.h"
#include "compress/weights.h"
#include "platform/threads.h"

namespace enxuto {

struct Candidate {
  Type type;
  // Importance-weighted squared error over the importance-weighted squared weights; 0 where the
  // tensor is kept as it is.
  double relative_error;
};

// What rows are rounded by: error feedback under a covariance, or each column for itself.
struct Metric {
  const Covariance* covariance;  // or null
  const float* importance;       // (columns), or null for all equal
};

// Rows of floats into blocks. scratch: rounding_scratch(…) floats.
void encode_rows(const Codec& codec, const Metric& metric, const float* rows, int64_t n_rows,
                 int64_t columns, uint8_t* blocks, float* scratch);

// feedback: rounded with it, where the metric has a covariance.
double measure_error(const Tensor& tensor, Type type, const Metric& metric, bool feedback,
                     ThreadTeam& team);

// One for each type of the menu, in its order. The rows sampled are the same for all.
std::vector<Candidate> measure_candidates(const Tensor& tensor, std::span<const Type> menu,
                                          const Metric& metric, ThreadTeam& team);

}  // namespace enxuto
