// Tiny random models of each architecture, the same on every machine, to write as GGUF or as a
// Hugging Face folder. Every feature that an architecture may have is there: grouped heads, biases,
// head norms, rope factors and scaling, windows that slide, tied and untied heads, layers that
// differ, one matrix for q, k and v, learned positions, norms with a mean, experts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "formats/gguf.h"

namespace enxuto {

struct TinyOptions {
  // llama, qwen2, qwen3, gemma3, deci, gpt2; mixtral (a llama with experts), qwen2moe, qwen3moe
  std::string architecture = "llama";
  uint32_t width = 96;    // a multiple of 32; of 256 for formats with super-blocks
  uint32_t n_layers = 0;  // 0: 3, 7 for gemma3, 4 for deci
  bool add_bos = false;
  bool rope_factors = true;     // llama: a Hugging Face folder has no place for them
  bool attention_bias = false;  // llama, deci: of q, k and v; qwen2 always has them
  uint32_t n_experts = 8;       // of a mixture, three for a token
  float outlier = 1;            // one input of each FFN is so many times as large
  uint64_t seed = 1;

  // For files of `type`. Super-blocks need the width; and where their 256 activations share a scale
  // an outlier shows it, as in real models.
  static TinyOptions of(const std::string& architecture, Type type) {
    TinyOptions options;
    options.architecture = architecture;
    if (find_codec(type)->block_values == 256) options.width = 256, options.outlier = 100;
    return options;
  }
};

struct TinyTensor {
  std::string name;             // GGUF's
  std::vector<uint64_t> shape;  // contiguous dimension first
  std::vector<float> values;
};

struct TinyWidths {  // of a layer
  uint32_t n_heads, n_kv_heads, ffn_width;
};

struct TinyModel {
  TinyOptions options;
  uint32_t n_layers, n_heads, n_kv_heads, head_dim, ffn_width, sliding_window;  // 0: none slides
  std::vector<TinyTensor> tensors;

  static constexpr uint32_t kExpertsUsed = 3;
  uint32_t shared_ffn_width() const { return is("qwen2moe") ? 2 * ffn_width : 0; }
  TinyWidths widths(uint32_t layer) const;  // where layers differ, those above are the most
  uint32_t context() const { return is("gpt2") ? 256 : 1024; }
  std::string gguf_architecture() const {
    return options.architecture == "mixtral" ? "llama" : options.architecture;
  }
  bool mixed() const {
    return options.architecture == "mixtral" || options.architecture.ends_with("moe");
  }
  bool is(std::string_view architecture) const { return gguf_architecture() == architecture; }
  TinyTensor* find(std::string_view name);
};

TinyModel tiny_model(const TinyOptions& options);
Metadata tiny_metadata(const TinyModel& model);  // GGUF keys, tokenizer included

// Matrices in `type`, all else F32. Q8_0, Q4_0 and Q6_K are rounded in the plainest way, so that
// files stay the same when the encoders get better; other types by their codec.
Status write_tiny_gguf(const TinyModel& model, Type type, const std::string& path);
Status write_tiny_gguf(const TinyModel& model, const Metadata& metadata, Type type,
                       const std::string& path);
// config.json, model.safetensors (F32) and tokenizer.json. `folder` exists.
Status write_tiny_folder(const TinyModel& model, const std::string& folder);

// A gpt2's part of such a folder: what a tensor is called there, its values there, its config.json.
std::string gpt2_name(const std::string& gguf_name);
bool is_transposed_gpt2(const TinyTensor& tensor);
std::string gpt2_config_json(const TinyModel& model);

// A byte-level BPE tokenizer of 288 tokens: 3 control tokens, 256 bytes, 29 merges.
struct TinyTokenizer {
  std::vector<std::string> tokens;
  std::vector<std::string> merges;  // "a b"
  uint32_t n_control;               // the first ones
};
const TinyTokenizer& tiny_tokenizer();

}  // namespace enxuto
