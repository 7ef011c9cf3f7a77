// What a layer's heads and channels are worth: the KL divergence that removing some of them costs,
// each part of each layer by itself. Two removals of each are measured truly; the loss by second
// moments (column_removal.h) tells those between and beyond.
#pragma once

#include <vector>

#include "prune/part_removal.h"

namespace enxuto {

struct PartLevel {
  uint32_t count;  // heads (groups) or channels that stay
  double loss;     // by second moments
  double kld;      // nats
};

struct PartCosts {
  uint32_t layer;
  Part part;
  std::vector<PartLevel> levels;  // from all to the fewest
};

// Channels stay in multiples of it.
uint32_t channel_step(uint32_t ffn_width);

// parts: those that may go. Uses up the working memory.
Result<std::vector<PartCosts>> measure_parts(const Workbench& bench, const Dense& dense,
                                             const CalibrationChunks& chunks,
                                             std::span<const Part> parts);

}  // namespace enxuto
