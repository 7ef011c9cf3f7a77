#include "models/hf_config_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "models/hf_config.h"
#include "models/hf_tokenizer_writer.h"

namespace enxuto {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct Kind {
  const char *architecture, *class_name, *model_type;
};
// A deci whose layers are alike is a llama.
constexpr Kind kKinds[] = {
    {"llama", "LlamaForCausalLM", "llama"},         {"deci", "LlamaForCausalLM", "llama"},
    {"qwen2", "Qwen2ForCausalLM", "qwen2"},         {"qwen3", "Qwen3ForCausalLM", "qwen3"},
    {"gemma3", "Gemma3ForCausalLM", "gemma3_text"}, {"gpt2", "GPT2LMHeadModel", "gpt2"}};

Status not_in_transformers(std::string what) {
  return Status::bad_input("transformers cannot load this model: " + std::move(what),
                           "use it as the GGUF file that it is");
}

Result<Kind> kind_of(const HyperParameters& h) {
  if (h.n_experts)
    return Status::bad_input("folders of mixtures of experts are not written yet",
                             "use it as the GGUF file that it is");
  if (!h.uneven.empty()) return not_in_transformers("its layers differ in heads or width");
  for (const Kind& kind : kKinds)
    if (h.architecture == kind.architecture) return kind;
  return Status::bad_input(fmt::format("folders of a {} are not written yet", h.architecture),
                           "use it as the GGUF file that it is");
}

// A float as a JSON number of the same float, not of its double's digits.
double shortest(float value) { return std::stod(fmt::format("{}", value)); }

// The parameters are not in a GGUF file, only the factors that they make.
Result<OrderedJson> llama3_scaling(const Model& model) {
  const std::span<const float> factors(
      reinterpret_cast<const float*>(model.rope_factors->data.data()), model.rope_factors->count());
  Llama3Rope rope;
  rope.factor = double{*std::ranges::max_element(factors)};
  const auto known =
      llama3_rope_factors(rope, double{model.hyper.rope_base}, model.hyper.rope_dims);
  const bool same = std::ranges::equal(
      factors, known, [](float a, float b) { return std::fabs(a - b) <= 1e-4f * b; });
  if (!same) return not_in_transformers("its rope factors are not those of Llama 3");
  return OrderedJson{{"rope_type", "llama3"},
                     {"factor", rope.factor},
                     {"low_freq_factor", rope.low},
                     {"high_freq_factor", rope.high},
                     {"original_max_position_embeddings", static_cast<uint64_t>(rope.context)}};
}

Status add_rope(const Model& model, OrderedJson& config) {
  const HyperParameters& h = model.hyper;
  if (h.rope_dims != h.key_dim) return not_in_transformers("only a part of each head is turned");
  config["rope_theta"] = shortest(h.rope_base);
  if (model.rope_factors) {
    ASSIGN_OR_RETURN(config["rope_scaling"], llama3_scaling(model));
  } else if (h.rope_scale != 1) {
    config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", shortest(h.rope_scale)}};
  }
  return {};
}

void add_gemma(const HyperParameters& h, OrderedJson& config) {
  const bool slides = h.sliding_window != 0 && h.sliding_pattern > 1;
  config["rope_local_base_freq"] = shortest(h.rope_base_sliding);
  config["query_pre_attn_scalar"] = std::lround(1 / (h.attention_scale * h.attention_scale));
  if (slides) config["sliding_window"] = h.sliding_window;
  config["sliding_window_pattern"] = slides ? h.sliding_pattern : 1;
  for (uint32_t layer = 0; layer < h.n_layers; ++layer)
    config["layer_types"].push_back(h.slides(layer) ? "sliding_attention" : "full_attention");
  if (h.final_logit_softcap > 0)
    config["final_logit_softcapping"] = shortest(h.final_logit_softcap);
}

// A gpt2's fields have names of their own, and its heads no length.
Status add_gpt2(const Model& model, OrderedJson& config) {
  const HyperParameters& h = model.hyper;
  if (h.n_kv_heads != h.n_heads || uint64_t{h.n_heads} * h.key_dim != h.width ||
      h.value_dim != h.key_dim)
    return not_in_transformers("its heads are not as wide together as the model");
  config.update(OrderedJson{{"n_embd", h.width},
                            {"n_inner", h.ffn_width},
                            {"n_layer", h.n_layers},
                            {"n_head", h.n_heads},
                            {"n_positions", h.trained_context},
                            {"n_ctx", h.trained_context},
                            {"layer_norm_epsilon", shortest(h.norm_epsilon)},
                            {"activation_function", "gelu_new"}});
  return {};
}

bool has_biases(const Model& model) {
  return std::ranges::any_of(model.layers, [](const LayerWeights& layer) {
    return layer.q_bias || layer.k_bias || layer.v_bias;
  });
}

// A llama's fields, which all have but gpt2.
Status add_llama(const Model& model, OrderedJson& config) {
  const HyperParameters& h = model.hyper;
  config.update(OrderedJson{{"hidden_size", h.width},
                            {"intermediate_size", h.ffn_width},
                            {"num_hidden_layers", h.n_layers},
                            {"num_attention_heads", h.n_heads},
                            {"num_key_value_heads", h.n_kv_heads},
                            {"head_dim", h.key_dim},
                            {"max_position_embeddings", h.trained_context},
                            {"rms_norm_eps", shortest(h.norm_epsilon)}});
  const bool gemma = h.architecture == "gemma3";
  config[gemma ? "hidden_activation" : "hidden_act"] = gemma ? "gelu_pytorch_tanh" : "silu";
  if (h.architecture != "qwen2") config["attention_bias"] = has_biases(model);
  TRY(add_rope(model, config));
  if (gemma) add_gemma(h, config);
  return {};
}

const char* dtype_of(Type type) {
  return type == Type::BF16 ? "bfloat16" : type == Type::F16 ? "float16" : "float32";
}

}  // namespace

Result<std::string> hf_config(const Model& model, Type type) {
  ASSIGN_OR_RETURN(const Kind kind, kind_of(model.hyper));
  OrderedJson config = {{"architectures", {kind.class_name}},
                        {"model_type", kind.model_type},
                        {"dtype", dtype_of(type)},
                        {"torch_dtype", dtype_of(type)},
                        {"vocab_size", model.hyper.vocabulary},
                        {"tie_word_embeddings", model.tied()},
                        {"use_cache", true}};
  TRY(model.hyper.learned_positions ? add_gpt2(model, config) : add_llama(model, config));
  ASSIGN_OR_RETURN(const Vocabulary vocabulary, hf_vocabulary(model.metadata));
  const auto id = [&](const char* key, Token token) {
    config[key] = token >= 0 ? OrderedJson(token) : OrderedJson();
  };
  id("bos_token_id", vocabulary.bos), id("eos_token_id", vocabulary.eos);
  if (const auto pad = model.metadata.unsigned_at("tokenizer.ggml.padding_token_id"))
    config["pad_token_id"] = *pad;
  return config.dump(2) + "\n";
}

Result<std::string> hf_generation_config(const Metadata& metadata) {
  ASSIGN_OR_RETURN(const Vocabulary vocabulary, hf_vocabulary(metadata));
  OrderedJson config = {{"_from_model_config", true}};
  if (vocabulary.bos >= 0) config["bos_token_id"] = vocabulary.bos;
  for (size_t i = 0; i < vocabulary.size(); ++i)
    if (vocabulary.ends_generation(static_cast<Token>(i))) config["eos_token_id"].push_back(i);
  if (const auto pad = metadata.unsigned_at("tokenizer.ggml.padding_token_id"))
    config["pad_token_id"] = *pad;
  return config.dump(2) + "\n";
}

}  // namespace enxuto
