// Which experts of a mixture's layer go: those whose outputs, as they are shared out, add least to
// the layer's on the texts. Where the router sends their tokens then is measured too: they go in a
// few rounds, each with those before gone.
#pragma once

#include <span>
#include <vector>

#include "prune/fit_texts.h"

namespace enxuto {

struct ExpertChoice {
  uint32_t layer = 0;
  std::vector<uint32_t> kept;  // ascending
  std::vector<uint8_t> gone;   // flags, (n_experts)
  double lost = 0;             // of the energy that experts add, the part that those which went had
};

// The layer is held; the texts stay before it.
Result<ExpertChoice> choose_experts(const HyperParameters& hyper, uint32_t layer, uint32_t n_kept,
                                    FitTexts& texts);

}  // namespace enxuto
