// A model with its adapter added into the weights, w + scale b a, as a GGUF file: each tensor in
// its own type, a few rows in memory at a time. What was quantized is rounded again: its weights
// lie on the steps of their format, and go back there where the change is less than half a step.
#pragma once

#include <string>
#include <vector>

#include "base/progress.h"
#include "models/adapter.h"

namespace enxuto {

struct MergeReport {
  uint64_t file_bytes = 0;
  uint64_t matrices = 0;      // that changed
  std::vector<Type> rounded;  // of them, the types that are not floats, each once
  // Of the adapter's change of all matrices, the share that the file has: 1 but for rounding.
  double kept_change = 1;
};

// Within plan_merge (plan/merge_plan.h). kBadInput where a number of the adapter is none, or a type
// of the model can be read only.
Result<MergeReport> merge_adapter(const Model& model, const Adapter& adapter,
                                  const std::string& path, bool replace, int n_threads,
                                  const Progress& progress);

}  // namespace enxuto
