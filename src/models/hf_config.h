// Internal: config.json of a Hugging Face folder as GGUF metadata, under the keys that llama.cpp's
// converter gives.
#pragma once

#include <optional>
#include <vector>

#include "formats/json.h"
#include "models/bind.h"

namespace enxuto {

struct HfConfig {
  const Architecture* architecture = nullptr;
  Metadata metadata;
  uint32_t vocabulary = 0;  // rows of the embedding; 0 where the file does not say
  Type type = Type::F32;    // of the weights (torch_dtype)
  bool tied = false;
  bool qkv_bias = false;            // as far as the file tells
  std::vector<float> rope_factors;  // llama 3; else empty
};

// `root`: the parsed config.json; `name`: general.name.
Result<HfConfig> read_hf_config(JsonElement root, const std::string& name);

}  // namespace enxuto
