// Internal: config.json and generation_config.json of a model, as transformers reads them; the way
// back of hf_config.h.
#pragma once

#include <string>

#include "models/model.h"

namespace enxuto {

// type: of the matrices. kBadInput where transformers has no class that computes this model.
Result<std::string> hf_config(const Model& model, Type type);
Result<std::string> hf_generation_config(const Metadata& metadata);

}  // namespace enxuto
