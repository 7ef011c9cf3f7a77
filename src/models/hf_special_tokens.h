// Internal: which tokens begin, end, pad …, whether they are added by themselves, and the chat
// template: from tokenizer_config.json, tokenizer.json's post_processor and config.json.
#pragma once

#include "formats/gguf.h"
#include "formats/json.h"

namespace enxuto {

// tokenizer: the root of tokenizer.json, or null. Expects tokenizer.ggml.tokens in `metadata`.
Status read_special_tokens(const std::string& folder, const JsonElement* tokenizer,
                           JsonElement config, Metadata& metadata);

}  // namespace enxuto
