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

// Llama 3 stretches the slow frequencies by `factor`, leaves the fast ones, and blends in between.
struct Llama3Rope {
  double factor = 8, low = 1, high = 4, context = 8192;
};
std::vector<float> llama3_rope_factors(const Llama3Rope& rope, double base, uint32_t head_dim);

// `root`: the parsed config.json; `name`: general.name.
Result<HfConfig> read_hf_config(JsonElement root, const std::string& name);

}  // namespace enxuto
