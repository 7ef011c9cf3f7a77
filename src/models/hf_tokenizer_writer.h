// Internal: tokenizer.json and tokenizer_config.json out of GGUF metadata, for Hugging Face's
// tokenizers to give the same ids; the way back of hf_tokenizer.h.
#pragma once

#include <string>

#include "models/model.h"
#include "platform/file.h"
#include "tokenizer/vocabulary.h"

namespace enxuto {

// With what its family takes for granted where the file does not say.
Result<Vocabulary> hf_vocabulary(const Metadata& metadata);

// kBadInput where Hugging Face has nothing that cuts text in this way.
Status write_hf_tokenizer(const Metadata& metadata, OutputFile& out);
Result<std::string> hf_tokenizer_config(const Metadata& metadata, uint32_t context);

}  // namespace enxuto
