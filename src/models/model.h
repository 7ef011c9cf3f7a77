// A model: hyper-parameters, tensors where they lie, and the recipe of a layer, all as data that
// the forward pass, the planner and the compressor read alike. From a GGUF file (or its split
// parts) or a Hugging Face folder.
//
// Goals: no copy of the weights; one source of truth per architecture (one row in
// architectures.cpp). Non-goals: computing (infer/), anything about memory budgets (plan/).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "formats/gguf.h"

namespace enxuto {

enum class RopeLayout { kInterleaved, kHalves };  // pairs (2i, 2i+1), or (i, i + n/2)
enum class Gate { kSilu, kGelu };
enum class Norm { kRms, kMeanAndVariance };

// What may differ from layer to layer. Without heads a layer has no attention at all.
struct LayerWidths {
  uint32_t n_heads, n_kv_heads, ffn_width;
  bool operator==(const LayerWidths&) const = default;
};

struct HyperParameters {
  std::string architecture;  // GGUF's name: "llama"
  std::string name;          // general.name
  uint32_t n_layers = 0, width = 0;
  uint32_t n_heads = 0, n_kv_heads = 0, ffn_width = 0;  // where layers differ, the most of any
  // A mixture: of so many experts in each layer, each of ffn_width, a token meets some. 0: the FFN
  // is one network.
  uint32_t n_experts = 0, n_experts_used = 0;
  bool normalizes_experts = false;      // shares of those that a token meets add up to 1
  uint32_t shared_ffn_width = 0;        // of one more that every token meets; 0: none
  std::vector<LayerWidths> uneven;      // by layer; empty: all are alike
  uint32_t key_dim = 0, value_dim = 0;  // of one head
  uint32_t vocabulary = 0, trained_context = 0;
  float norm_epsilon = 1e-5f;
  RopeLayout rope_layout = RopeLayout::kInterleaved;
  uint32_t rope_dims = 0;
  float rope_base = 10000.0f, rope_base_sliding = 10000.0f;  // the second for sliding-window layers
  float rope_scale = 1.0f;       // positions are divided by it (linear scaling)
  uint32_t sliding_window = 0;   // tokens; 0: none
  uint32_t sliding_pattern = 0;  // every n-th layer is global; 0: all are
  float embedding_scale = 1.0f;
  float attention_scale = 0.0f;  // of q . k
  Gate gate = Gate::kSilu;  // what its activation is; without a gate it is that of what goes up
  Norm norm = Norm::kRms;
  bool learned_positions = false;    // trained_context of them; rope_dims is 0 then
  float final_logit_softcap = 0.0f;  // 0: none

  bool slides(uint32_t layer) const {
    return sliding_window != 0 && sliding_pattern != 0 && (layer + 1) % sliding_pattern != 0;
  }
  LayerWidths widths(uint32_t layer) const {
    return uneven.empty() ? LayerWidths{n_heads, n_kv_heads, ffn_width} : uneven[layer];
  }
  bool attends(uint32_t layer) const { return widths(layer).n_heads > 0; }
};

// The tensors of one layer; null where the architecture has none, and those of attention where the
// layer has none. Pointers into Model::tensors.
struct LayerWeights {
  const Tensor *attn_norm = nullptr, *attn_norm_bias = nullptr;
  const Tensor *q = nullptr, *k = nullptr, *v = nullptr;
  const Tensor *q_bias = nullptr, *k_bias = nullptr, *v_bias = nullptr;
  const Tensor *qkv = nullptr, *qkv_bias = nullptr;  // in place of the six: rows of q, k, then v
  const Tensor *q_norm = nullptr, *k_norm = nullptr;
  const Tensor *attn_output = nullptr, *attn_output_bias = nullptr;
  const Tensor* post_attn_norm = nullptr;
  const Tensor *ffn_norm = nullptr, *ffn_norm_bias = nullptr;
  const Tensor *gate = nullptr, *up = nullptr, *up_bias = nullptr;
  const Tensor *down = nullptr, *down_bias = nullptr;
  const Tensor* post_ffn_norm = nullptr;
  // A mixture's: a row for each expert. Its gate, up and down have three dimensions, one expert's
  // matrix after the other.
  const Tensor* router = nullptr;
  // One more network that every token meets, by as much as sigmoid(shared_router . x).
  const Tensor* shared_router = nullptr;
  const Tensor *shared_gate = nullptr, *shared_up = nullptr, *shared_down = nullptr;
};

// Those that a layer has, in the order of the computation; not a mixture's router, which is small
// and decides much.
std::vector<const Tensor*> matrices_of(const LayerWeights& layer);
std::vector<const Tensor*> tensors_of(const LayerWeights& layer);  // router, norms and biases too
// One of the matrices that read each input, the first: of q, k and v, and of gate and up (and what
// else a mixture's normed input meets).
std::vector<const Tensor*> inputs_of(const LayerWeights& layer);

struct Model {
  HyperParameters hyper;
  // Under GGUF names, in the order in which a file has or would have them. From a Hugging Face
  // folder too: there q and k lie as they are (rope_layout says so), and `emit_row` tells where a
  // GGUF file wants each row.
  std::vector<Tensor> tensors;
  Metadata metadata;  // GGUF keys, tokenizer included
  const Tensor* token_embedding = nullptr;
  const Tensor* position_embedding = nullptr;  // (trained_context, width), added; null: none
  const Tensor *output_norm = nullptr, *output_norm_bias = nullptr;
  const Tensor* output = nullptr;        // the token embedding itself where tied
  const Tensor* rope_factors = nullptr;  // llama 3: divides the frequencies; null: none
  std::vector<LayerWeights> layers;
  uint64_t file_bytes = 0;
  bool tied() const { return output == token_embedding; }

  // The tensor's row (a bias: its element) that a GGUF file has at place `i`: the identity except q
  // and k of a llama from Hugging Face.
  uint64_t emit_row(const Tensor& tensor, uint64_t i) const;
  const Tensor* find(std::string_view name) const;
  // Its place among `tensors`, of which it is one.
  size_t index_of(const Tensor& tensor) const {
    return static_cast<size_t>(&tensor - tensors.data());
  }

  // MappedFile's, of all its files.
  void let_go() const;
  void count_read(uint64_t bytes, uint64_t kept) const;

  Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  std::vector<std::shared_ptr<const MappedFile>> files;
  std::vector<std::shared_ptr<std::vector<uint8_t>>>
      owned;  // what had to be converted: norms, and matrices that a folder has transposed
  bool permuted_qk = false;
};

// A model of these parts, which need not come from a file: the metadata names the architecture, the
// tensors are those that it needs, with data or without.
Result<std::shared_ptr<const Model>> make_model(GgufFile parts);

// PATH: a GGUF file, or a folder with config.json. Checks that each tensor the architecture needs
// is there, with its shape. A folder or config.json without weights opens too (tensors without
// data) where `weights_needed` is false.
Result<std::shared_ptr<const Model>> open_model(const std::string& path,
                                                bool weights_needed = true);

}  // namespace enxuto
