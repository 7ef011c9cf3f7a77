// Whole blocks that a model misses least: again and again the one goes without which the true KL
// divergence of what comes out is the least (SLEB: Song et al., 2024).
#pragma once

#include <functional>
#include <vector>

#include "compress/workbench.h"

namespace enxuto {

struct RemovedBlock {
  uint32_t layer;
  double kld;  // nats, with all those before it gone too
};

// In the order in which they go, until `enough` says so of how many are gone. Uses up the working
// memory.
Result<std::vector<RemovedBlock>> search_blocks(const Workbench& bench,
                                                const std::vector<std::vector<Token>>& chunks,
                                                const std::function<bool(size_t)>& enough);

}  // namespace enxuto
