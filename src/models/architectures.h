// What distinguishes one architecture from another, as data: one row each in architectures.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "models/model.h"

namespace enxuto {

// Lengths that a tensor's shape is made of.
enum class Dim : uint8_t {
  kNone,
  kWidth,
  kVocabulary,
  kQueryWidth,
  kKeyWidth,
  kValueWidth,
  kKeyDim,
  kFfn,
  kHeadWidth,
  kRopeHalf
};

// One tensor of a layer. `gguf` follows "blk.N.", `hugging_face` "model.layers.N."; {contiguous,
// rows}.
struct TensorRule {
  const Tensor* LayerWeights::*slot;
  const char* gguf;
  const char* hugging_face;
  Dim columns, rows;
  bool required;
};

struct Architecture {
  const char* name;        // general.architecture
  const char* class_name;  // "architectures" of a config.json
  RopeLayout rope_layout;  // of a GGUF file
  bool permuted_qk;        // the converter reorders q and k rows of Hugging Face's files
  Gate gate;
  bool scales_embedding;     // by sqrt(width)
  bool norm_plus_one;        // Hugging Face stores norm - 1
  uint32_t sliding_pattern;  // every n-th layer is global where a sliding window is given
  float rope_base_sliding;
  std::span<const TensorRule> layer;
};

const Architecture* find_architecture(std::string_view name);
const Architecture* find_architecture_of_class(std::string_view class_name);
std::string known_architectures();  // "llama, qwen2, …"

}  // namespace enxuto
