// What writing a model as a Hugging Face folder takes: a few rows, and the tokenizer's tables.
#pragma once

#include "memory/memory_map.h"
#include "models/model.h"

namespace enxuto {

// kDoesNotFit where a size is beyond reason.
Result<MemoryMap> plan_export(const Model& model, int n_threads);

}  // namespace enxuto
