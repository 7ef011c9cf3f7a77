// Internal: Hugging Face folders (config.json, safetensors, tokenizer.json) as models.
#pragma once

#include "models/model.h"

namespace enxuto {

// PATH: the folder, or its config.json.
Result<std::shared_ptr<const Model>> open_hugging_face(const std::string& path,
                                                       bool weights_needed);

}  // namespace enxuto
