// For tests: the tiny vocabularies of testdata/ as a file's metadata.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/gguf.h"

namespace enxuto {

inline nlohmann::json read_testdata(const std::string& name) {
  std::ifstream file(std::string(ENXUTO_SOURCE_DIR) + "/src/tokenizer/testdata/" + name);
  return nlohmann::json::parse(file);
}

// Texts and their tokens by tiny vocabularies, as llama.cpp has them.
inline const nlohmann::json& tokenizer_goldens() {
  static const nlohmann::json data = read_testdata("tokenizers.json");
  return data;
}

inline Metadata tiny_metadata(const nlohmann::json& vocabulary, const std::string& pre,
                              const nlohmann::json& options) {
  const std::string base = "tokenizer.ggml.";
  Metadata metadata;
  const auto add_strings = [&](const std::string& key, const nlohmann::json& list) {
    std::vector<std::string_view> views;
    for (const auto& text : list) views.push_back(text.get_ref<const std::string&>());
    metadata.set_strings(base + key, views);
  };
  metadata.set_string(base + "model", vocabulary["model"].get<std::string>());
  if (!pre.empty()) metadata.set_string(base + "pre", pre);
  add_strings("tokens", vocabulary["tokens"]);
  if (vocabulary.contains("merges")) add_strings("merges", vocabulary["merges"]);
  if (vocabulary.contains("scores"))
    metadata.set_f32s(base + "scores", vocabulary["scores"].get<std::vector<float>>());
  metadata.set_i32s(base + "token_type", vocabulary["types"].get<std::vector<int32_t>>());
  metadata.set_u32(base + "bos_token_id", vocabulary["bos"].get<uint32_t>());
  metadata.set_u32(base + "eos_token_id", vocabulary["eos"].get<uint32_t>());
  for (const auto& [key, value] : options.items()) metadata.set_bool(base + key, value.get<bool>());
  return metadata;
}

}  // namespace enxuto
