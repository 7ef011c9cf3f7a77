// Importance matrices in llama.cpp's files. One that is brought says what each input's columns
// carry, in place of the calibration text; what they have in common it does not say.
#pragma once

#include <string>
#include <vector>

#include "compress/calibrate.h"
#include "compress/calibration_text.h"
#include "compress/weights.h"
#include "memory/arena.h"

namespace enxuto {

// Of the inputs that the file knows, under the name of any weight that shares them; in the arena.
// Relative to an input's mean, and none zero: only what columns carry beside each other counts.
// kBadInput where the file knows none, or has other widths.
Result<Importance> bring_importance(const std::string& path, const std::vector<Weight>& weights,
                                    Arena& arena);

// What the text says, under the name of every weight. text_name: for the file.
Status save_importance(OutputFile& file, const std::string& text_name,
                       const std::vector<std::vector<Token>>& chunks,
                       const std::vector<Weight>& weights, const Importance& importance);

}  // namespace enxuto
