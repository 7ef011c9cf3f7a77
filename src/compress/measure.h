// What each format would cost a tensor: encode a sample of its rows, decode, compare.
#pragma once

#include <vector>

#include "base/progress.h"
#include "compress/weights.h"
#include "platform/threads.h"

namespace enxuto {

struct Candidate {
  Type type;
  // Importance-weighted squared error over the importance-weighted squared weights; 0 where the
  // tensor is kept as it is.
  double relative_error;
};

// importance: (columns), or null for all equal.
double measure_error(const Tensor& tensor, Type type, const float* importance, ThreadTeam& team);

// One for each type of the menu, in its order. The rows sampled are the same for all.
std::vector<Candidate> measure_candidates(const Tensor& tensor, std::span<const Type> menu,
                                          const float* importance, ThreadTeam& team);

}  // namespace enxuto
