// Sensitivity: how much KL divergence of the whole model one tensor's rounding costs, measured.
//
// Each tensor in turn is replaced by a coarse version of itself, and held-out text runs on from
// there. All disturbed texts walk through the model side by side: each layer is read once, for all
// of them. For small errors KL is proportional to the squared error, so one measurement prices
// every format:
//   predicted kld(format) = probe's kld * error(format) / probe's error
#pragma once

#include <vector>

#include "compress/calibrate.h"
#include "compress/weights.h"
#include "compress/workbench.h"

namespace enxuto {

struct Sensitivity {
  double kld = 0;  // nats, of the coarse version
  // The coarse format; null: the tensor cannot be coarser, or is not surveyed.
  const Codec* probe = nullptr;
};

// One for each weight; those that the plan surveys are probed. The session's batch holds a chunk.
Result<std::vector<Sensitivity>> measure_sensitivity(const Workbench& bench,
                                                     const std::vector<Weight>& weights,
                                                     const Importance& importance,
                                                     const std::vector<std::vector<Token>>& chunks);

}  // namespace enxuto
