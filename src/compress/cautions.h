// What a user should know before the work: nothing of it is an error.
#pragma once

#include <string>
#include <vector>

#include "compress/calibration_text.h"
#include "compress/weights.h"
#include "plan/compression_plan.h"

namespace enxuto {

// Sentences, with their figures: of a text that is short or strange to the model's tokenizer, and
// of weights that are quantized already.
std::vector<std::string> cautions(const Model& model, const std::vector<Weight>& weights,
                                  const CalibrationChunks& chunks, const CalibrationShape& shape);

}  // namespace enxuto
