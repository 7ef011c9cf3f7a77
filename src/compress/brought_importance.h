// Importance from outside: an importance matrix of llama.cpp's says what each input's columns
// carry, in place of the calibration text. What they have in common it does not say.
#pragma once

#include <string>
#include <vector>

#include "compress/calibrate.h"
#include "compress/weights.h"
#include "memory/arena.h"

namespace enxuto {

// Of the inputs that the file knows, under the name of any weight that shares them; in the arena.
// Relative to an input's mean, and none zero: only what columns carry beside each other counts.
// kBadInput where the file knows none, or has other widths.
Result<Importance> bring_importance(const std::string& path, const std::vector<Weight>& weights,
                                    Arena& arena);

}  // namespace enxuto
