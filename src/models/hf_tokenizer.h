// Internal: tokenizer.json, tokenizer_config.json and their kin as GGUF tokenizer.* keys, as
// llama.cpp's converter writes them.
#pragma once

#include "formats/json.h"
#include "models/architectures.h"

namespace enxuto {

// Reads the tokenizer of `folder` for an embedding of `vocabulary` rows. `config`: the root of
// config.json.
Status read_hf_tokenizer(const std::string& folder, JsonElement config, uint32_t vocabulary,
                         Metadata& metadata);

}  // namespace enxuto
