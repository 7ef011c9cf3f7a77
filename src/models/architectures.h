// What distinguishes one architecture from another, as data: one row each in architectures.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
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
  kQkvWidth,
  kKeyDim,
  kFfn,
  kHeadWidth,
  kRopeHalf,
  kPositions,
  kExperts,
  kSharedFfn
};

// One tensor of a layer. `gguf` follows "blk.N.", `hugging_face` "model.layers.N."; {contiguous,
// rows}.
struct TensorRule {
  const Tensor* LayerWeights::*slot;
  const char* gguf;
  const char* hugging_face;
  Dim columns, rows;
  bool required;
  bool transposed = false;   // in a Hugging Face folder
  bool each_expert = false;  // so many of it, one after the other
};

// What a config.json may leave out; zero: must be there.
struct ConfigDefaults {
  uint32_t context, n_heads, n_kv_heads, head_dim;
  double norm_epsilon, rope_base;
  bool tied;                   // tie_word_embeddings
  bool qkv_bias;               // attention_bias
  uint32_t ffn_per_width = 0;  // intermediate_size, in widths
};

inline constexpr uint32_t kMostExperts = 1024;  // llama.cpp's bound too

// What a mixture's layers have in place of the others. No tensors: the architecture has none.
struct MixtureRules {
  std::span<const TensorRule> layer;
  bool normalizes = false;  // HyperParameters::normalizes_experts
  bool own_width = false;   // expert_feed_forward_length is an expert's width
  bool own_head = false;    // llama.cpp wants the head to be another tensor than the embedding
};

// The beginning of a tensor's name in a Hugging Face folder: what most call it, and another, which
// may follow kFirstPrefix.
struct FirstName {
  std::string_view usual, other;
};
inline constexpr std::string_view kFirstPrefix = "transformer.";

struct Architecture {
  const char* name;                          // general.architecture
  std::span<const char* const> class_names;  // "architectures" of a config.json
  RopeLayout rope_layout;                    // of a GGUF file
  bool permuted_qk;  // the converter reorders q and k rows of Hugging Face's files
  Gate gate;
  bool scales_embedding;     // by sqrt(width)
  bool norm_plus_one;        // Hugging Face stores norm - 1
  uint32_t sliding_pattern;  // every n-th layer is global where a sliding window is given
  float rope_base_sliding;
  bool uneven;  // heads and the width of the FFN may differ from layer to layer
  ConfigDefaults defaults;
  std::span<const TensorRule> layer;  // none: it is a mixture always
  Norm norm = Norm::kRms;             // kMeanAndVariance: with a bias
  bool learned_positions = false;     // instead of rope
  MixtureRules mixture = {};
  std::span<const FirstName> first_names = {};
};

// The tensors outside the layers, with Hugging Face's full names. No slot: bind.cpp names them.
inline constexpr TensorRule kEmbeddingRule = {
    nullptr, "token_embd.weight", "model.embed_tokens.weight", Dim::kWidth, Dim::kVocabulary, true};
inline constexpr TensorRule kPositionRule = {
    nullptr,     "position_embd.weight", "model.embed_positions.weight",
    Dim::kWidth, Dim::kPositions,        true};
inline constexpr TensorRule kOutputNormRule = {
    nullptr, "output_norm.weight", "model.norm.weight", Dim::kWidth, Dim::kNone, true};
inline constexpr TensorRule kOutputNormBiasRule = {
    nullptr, "output_norm.bias", "model.norm.bias", Dim::kWidth, Dim::kNone, true};
inline constexpr TensorRule kOutputRule = {nullptr,     "output.weight",  "lm_head.weight",
                                           Dim::kWidth, Dim::kVocabulary, false};
inline constexpr TensorRule kRopeFactorsRule = {nullptr,        "rope_freqs.weight", "",
                                                Dim::kRopeHalf, Dim::kNone,          false};

std::span<const TensorRule> layer_rules(const Architecture& architecture,
                                        const HyperParameters& hyper);
// A layer without heads has none of these.
bool is_of_attention(const TensorRule& rule);
// `layer`: whose widths; lengths outside the layers are the same for each.
uint64_t length_of(Dim dim, const HyperParameters& hyper, uint32_t layer = 0);
std::string layer_tensor_name(uint32_t layer, const TensorRule& rule);  // "blk.3.attn_q.weight"
const char* epsilon_key(Norm norm);  // of GGUF, after the architecture's name

const Architecture* find_architecture(std::string_view name);
const Architecture* find_architecture_of_class(std::string_view class_name);
std::string known_architectures();  // "llama, qwen2, …"

}  // namespace enxuto
