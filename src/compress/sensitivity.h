// Sensitivity: how much KL divergence of the whole model one tensor's rounding costs, measured.
//
// Each tensor in turn is replaced by a coarse version of itself, and held-out text runs through the
// layers from there on; the hidden states of the undisturbed model stand ready at every layer. For
// small errors KL is proportional to the squared error, so one measurement prices every format:
//   predicted kld(format) = probe's kld * error(format) / probe's error
#pragma once

#include <vector>

#include "base/progress.h"
#include "compress/calibrate.h"
#include "compress/weights.h"
#include "infer/session.h"

namespace enxuto {

struct Sensitivity {
  double kld = 0;                // nats
  const Codec* probe = nullptr;  // the coarse format; null: the tensor cannot be coarser
};

// One for each weight. The session's batch holds a chunk.
Result<std::vector<Sensitivity>> measure_sensitivity(Session& session,
                                                     const std::vector<Weight>& weights,
                                                     const Importance& importance,
                                                     const std::vector<std::vector<Token>>& chunks,
                                                     const Progress& progress);

}  // namespace enxuto
