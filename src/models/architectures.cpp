#include "models/architectures.h"

#include <fmt/format.h>

namespace enxuto {
namespace {

using L = LayerWeights;

constexpr TensorRule kAttnNorm = {&L::attn_norm, "attn_norm.weight", "input_layernorm.weight",
                                  Dim::kWidth,   Dim::kNone,         true};
constexpr TensorRule kQ = {&L::q,       "attn_q.weight",  "self_attn.q_proj.weight",
                           Dim::kWidth, Dim::kQueryWidth, true};
constexpr TensorRule kK = {&L::k,       "attn_k.weight", "self_attn.k_proj.weight",
                           Dim::kWidth, Dim::kKeyWidth,  true};
constexpr TensorRule kV = {&L::v,       "attn_v.weight",  "self_attn.v_proj.weight",
                           Dim::kWidth, Dim::kValueWidth, true};
constexpr TensorRule kO = {&L::attn_output, "attn_output.weight", "self_attn.o_proj.weight",
                           Dim::kHeadWidth, Dim::kWidth,          true};
constexpr TensorRule kQBias = {&L::q_bias,       "attn_q.bias", "self_attn.q_proj.bias",
                               Dim::kQueryWidth, Dim::kNone,    false};
constexpr TensorRule kKBias = {&L::k_bias,     "attn_k.bias", "self_attn.k_proj.bias",
                               Dim::kKeyWidth, Dim::kNone,    false};
constexpr TensorRule kVBias = {&L::v_bias,       "attn_v.bias", "self_attn.v_proj.bias",
                               Dim::kValueWidth, Dim::kNone,    false};
constexpr TensorRule kQNorm = {&L::q_norm,   "attn_q_norm.weight", "self_attn.q_norm.weight",
                               Dim::kKeyDim, Dim::kNone,           true};
constexpr TensorRule kKNorm = {&L::k_norm,   "attn_k_norm.weight", "self_attn.k_norm.weight",
                               Dim::kKeyDim, Dim::kNone,           true};
constexpr TensorRule kFfnNorm = {&L::ffn_norm, "ffn_norm.weight", "post_attention_layernorm.weight",
                                 Dim::kWidth,  Dim::kNone,        true};
constexpr TensorRule kGate = {&L::gate,    "ffn_gate.weight", "mlp.gate_proj.weight",
                              Dim::kWidth, Dim::kFfn,         true};
constexpr TensorRule kUp = {&L::up,      "ffn_up.weight", "mlp.up_proj.weight",
                            Dim::kWidth, Dim::kFfn,       true};
constexpr TensorRule kDown = {&L::down,  "ffn_down.weight", "mlp.down_proj.weight",
                              Dim::kFfn, Dim::kWidth,       true};
constexpr TensorRule kPostAttn = {&L::post_attn_norm,
                                  "post_attention_norm.weight",
                                  "post_attention_layernorm.weight",
                                  Dim::kWidth,
                                  Dim::kNone,
                                  true};
constexpr TensorRule kGemmaFfnNorm = {
    &L::ffn_norm, "ffn_norm.weight", "pre_feedforward_layernorm.weight",
    Dim::kWidth,  Dim::kNone,        true};
constexpr TensorRule kPostFfn = {&L::post_ffn_norm,
                                 "post_ffw_norm.weight",
                                 "post_feedforward_layernorm.weight",
                                 Dim::kWidth,
                                 Dim::kNone,
                                 true};

constexpr TensorRule kPlainNorm = {&L::attn_norm, "attn_norm.weight", "ln_1.weight",
                                   Dim::kWidth,   Dim::kNone,         true};
constexpr TensorRule kPlainNormBias = {&L::attn_norm_bias, "attn_norm.bias", "ln_1.bias",
                                       Dim::kWidth,        Dim::kNone,       true};
constexpr TensorRule kQkv = {
    &L::qkv, "attn_qkv.weight", "attn.c_attn.weight", Dim::kWidth, Dim::kQkvWidth, true, true};
constexpr TensorRule kQkvBias = {&L::qkv_bias,   "attn_qkv.bias", "attn.c_attn.bias",
                                 Dim::kQkvWidth, Dim::kNone,      true};
constexpr TensorRule kPlainO = {&L::attn_output,
                                "attn_output.weight",
                                "attn.c_proj.weight",
                                Dim::kHeadWidth,
                                Dim::kWidth,
                                true,
                                true};
constexpr TensorRule kOBias = {&L::attn_output_bias, "attn_output.bias", "attn.c_proj.bias",
                               Dim::kWidth,          Dim::kNone,         true};
constexpr TensorRule kPlainFfnNorm = {&L::ffn_norm, "ffn_norm.weight", "ln_2.weight",
                                      Dim::kWidth,  Dim::kNone,        true};
constexpr TensorRule kPlainFfnNormBias = {&L::ffn_norm_bias, "ffn_norm.bias", "ln_2.bias",
                                          Dim::kWidth,       Dim::kNone,      true};
constexpr TensorRule kPlainUp = {
    &L::up, "ffn_up.weight", "mlp.c_fc.weight", Dim::kWidth, Dim::kFfn, true, true};
constexpr TensorRule kUpBias = {&L::up_bias, "ffn_up.bias", "mlp.c_fc.bias",
                                Dim::kFfn,   Dim::kNone,    true};
constexpr TensorRule kPlainDown = {
    &L::down, "ffn_down.weight", "mlp.c_proj.weight", Dim::kFfn, Dim::kWidth, true, true};
constexpr TensorRule kDownBias = {&L::down_bias, "ffn_down.bias", "mlp.c_proj.bias",
                                  Dim::kWidth,   Dim::kNone,      true};

constexpr TensorRule kLlamaLayer[] = {kAttnNorm, kQ, kQBias,   kK,    kKBias, kV,
                                      kVBias,    kO, kFfnNorm, kGate, kUp,    kDown};
constexpr TensorRule kQwen3Layer[] = {kAttnNorm, kQ,       kQNorm, kK,  kKNorm, kV,
                                      kO,        kFfnNorm, kGate,  kUp, kDown};
constexpr TensorRule kGemma3Layer[] = {kAttnNorm, kQ,        kQNorm,        kK,    kKNorm, kV,
                                       kO,        kPostAttn, kGemmaFfnNorm, kGate, kUp,    kDown,
                                       kPostFfn};

constexpr TensorRule kGpt2Layer[] = {kPlainNorm, kPlainNormBias, kQkv,          kQkvBias,
                                     kPlainO,    kOBias,         kPlainFfnNorm, kPlainFfnNormBias,
                                     kPlainUp,   kUpBias,        kPlainDown,    kDownBias};

constexpr std::span<const TensorRule> kNoLayer;

constexpr TensorRule each_expert(TensorRule rule, const char* gguf) {
  rule.gguf = gguf;
  rule.each_expert = true;
  return rule;
}

constexpr TensorRule kRouter = {&L::router,  "ffn_gate_inp.weight", "",
                                Dim::kWidth, Dim::kExperts,         true};
constexpr TensorRule kGates = each_expert(kGate, "ffn_gate_exps.weight");
constexpr TensorRule kUps = each_expert(kUp, "ffn_up_exps.weight");
constexpr TensorRule kDowns = each_expert(kDown, "ffn_down_exps.weight");
constexpr TensorRule kSharedRouter = {
    &L::shared_router, "ffn_gate_inp_shexp.weight", "", Dim::kWidth, Dim::kNone, true};
constexpr TensorRule kSharedGate = {&L::shared_gate, "ffn_gate_shexp.weight", "",
                                    Dim::kWidth,     Dim::kSharedFfn,         true};
constexpr TensorRule kSharedUp = {&L::shared_up, "ffn_up_shexp.weight", "",
                                  Dim::kWidth,   Dim::kSharedFfn,       true};
constexpr TensorRule kSharedDown = {
    &L::shared_down, "ffn_down_shexp.weight", "", Dim::kSharedFfn, Dim::kWidth, true};

constexpr TensorRule kLlamaMixture[] = {kAttnNorm, kQ,       kQBias,  kK,     kKBias, kV,    kVBias,
                                        kO,        kFfnNorm, kRouter, kGates, kUps,   kDowns};
constexpr TensorRule kQwen2Mixture[] = {
    kAttnNorm, kQ,     kQBias, kK,     kKBias,        kV,          kVBias,    kO,         kFfnNorm,
    kRouter,   kGates, kUps,   kDowns, kSharedRouter, kSharedGate, kSharedUp, kSharedDown};
constexpr TensorRule kQwen3Mixture[] = {kAttnNorm, kQ,       kQNorm,  kK,     kKNorm, kV,
                                        kO,        kFfnNorm, kRouter, kGates, kUps,   kDowns};
// tensors, whether shares add up to 1, an expert's width has a key of its own, and the head a
// tensor
constexpr MixtureRules kNoExperts;
constexpr MixtureRules kLlamaExperts = {kLlamaMixture, true, false};
constexpr MixtureRules kQwen2Experts = {kQwen2Mixture, false, true, true};
constexpr MixtureRules kQwen3Experts = {kQwen3Mixture, true, true};

constexpr FirstName kGpt2Names[] = {{"model.layers.", "h."},
                                    {"model.embed_tokens.", "wte."},
                                    {"model.embed_positions.", "wpe."},
                                    {"model.norm.", "ln_f."}};

constexpr RopeLayout kPairs = RopeLayout::kInterleaved, kHalves = RopeLayout::kHalves;

constexpr std::span<const char* const> kNoClasses;
constexpr const char* kLlamaClasses[] = {"LlamaForCausalLM", "MistralForCausalLM"};
constexpr const char* kQwen2Classes[] = {"Qwen2ForCausalLM"};
constexpr const char* kQwen3Classes[] = {"Qwen3ForCausalLM"};
constexpr const char* kGemma3Classes[] = {"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"};

constexpr const char* kGpt2Classes[] = {"GPT2LMHeadModel"};

constexpr ConfigDefaults kNoDefaults = {0, 0, 0, 0, 0, 0, false, false};
constexpr ConfigDefaults kQwen2Defaults = {0, 0, 0, 0, 0, 0, false, true};
constexpr ConfigDefaults kGemma3Defaults = {131072, 8, 4, 256, 1e-6, 1e6, true, false};
constexpr ConfigDefaults kGpt2Defaults = {1024, 0, 0, 0, 1e-5, 0, true, false, 4};

// name, classes, rope of GGUF, permuted q and k, gate, scaled embedding, norm + 1, global layer
// every n, base of sliding layers, uneven layers, defaults, layer, norm, learned positions,
// mixture, first names
constexpr Architecture kArchitectures[] = {
    {"llama", kLlamaClasses, kPairs, true, Gate::kSilu, false, false, 0, 0, false, kNoDefaults,
     kLlamaLayer, Norm::kRms, false, kLlamaExperts},
    {"qwen2", kQwen2Classes, kHalves, false, Gate::kSilu, false, false, 0, 0, false, kQwen2Defaults,
     kLlamaLayer},
    {"qwen3", kQwen3Classes, kHalves, false, Gate::kSilu, false, false, 0, 0, false, kNoDefaults,
     kQwen3Layer},
    {"gemma3", kGemma3Classes, kHalves, false, Gate::kGelu, true, true, 6, 10000, false,
     kGemma3Defaults, kGemma3Layer},
    {"deci", kNoClasses, kPairs, false, Gate::kSilu, false, false, 0, 0, true, kNoDefaults,
     kLlamaLayer},
    {"gpt2", kGpt2Classes, kHalves, false, Gate::kGelu, false, false, 0, 0, false, kGpt2Defaults,
     kGpt2Layer, Norm::kMeanAndVariance, true, kNoExperts, kGpt2Names},
    {"qwen2moe", kNoClasses, kHalves, false, Gate::kSilu, false, false, 0, 0, false, kNoDefaults,
     kNoLayer, Norm::kRms, false, kQwen2Experts},
    {"qwen3moe", kNoClasses, kHalves, false, Gate::kSilu, false, false, 0, 0, false, kNoDefaults,
     kNoLayer, Norm::kRms, false, kQwen3Experts},
};

}  // namespace

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture& a : kArchitectures)
    if (name == a.name) return &a;
  return nullptr;
}

const Architecture* find_architecture_of_class(std::string_view class_name) {
  for (const Architecture& a : kArchitectures)
    for (const char* known : a.class_names)
      if (class_name == known) return &a;
  return nullptr;
}

std::string known_architectures() {
  std::string names;
  for (const Architecture& a : kArchitectures)
    names += names.empty() ? a.name : std::string(", ") + a.name;
  return names;
}

std::span<const TensorRule> layer_rules(const Architecture& architecture,
                                        const HyperParameters& hyper) {
  return hyper.n_experts ? architecture.mixture.layer : architecture.layer;
}

bool is_of_attention(const TensorRule& rule) {
  const std::string_view name = rule.gguf;
  return name.starts_with("attn_") || name.starts_with("post_attention_");
}

uint64_t length_of(Dim dim, const HyperParameters& h, uint32_t layer) {
  const LayerWidths widths = h.widths(layer);
  switch (dim) {
    case Dim::kNone:
      return 1;
    case Dim::kWidth:
      return h.width;
    case Dim::kVocabulary:
      return h.vocabulary;
    case Dim::kQueryWidth:
      return uint64_t{widths.n_heads} * h.key_dim;
    case Dim::kKeyWidth:
      return uint64_t{widths.n_kv_heads} * h.key_dim;
    case Dim::kValueWidth:
      return uint64_t{widths.n_kv_heads} * h.value_dim;
    case Dim::kQkvWidth:
      return (uint64_t{widths.n_heads} + widths.n_kv_heads) * h.key_dim +
             uint64_t{widths.n_kv_heads} * h.value_dim;
    case Dim::kKeyDim:
      return h.key_dim;
    case Dim::kFfn:
      return widths.ffn_width;
    case Dim::kHeadWidth:
      return uint64_t{widths.n_heads} * h.value_dim;
    case Dim::kRopeHalf:
      return h.rope_dims / 2;
    case Dim::kPositions:
      return h.trained_context;
    case Dim::kExperts:
      return h.n_experts;
    case Dim::kSharedFfn:
      return h.shared_ffn_width;
  }
  return 0;
}

std::string layer_tensor_name(uint32_t layer, const TensorRule& rule) {
  return fmt::format("blk.{}.{}", layer, rule.gguf);
}

const char* epsilon_key(Norm norm) {
  return norm == Norm::kRms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
}

}  // namespace enxuto
