#include "models/hf_config.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace enxuto {
namespace {

constexpr const char* kTodo = "config.json is not sound; download it again";

// What GPT-2 called what has another name since.
constexpr std::pair<std::string_view, std::string_view> kFirstNames[] = {
    {"num_hidden_layers", "n_layer"},
    {"max_position_embeddings", "n_positions"},
    {"hidden_size", "n_embd"},
    {"intermediate_size", "n_inner"},
    {"num_attention_heads", "n_head"}};

// The fields of a config.json: of its text_config where there is one, else of the root.
class Fields {
 public:
  explicit Fields(JsonElement root) : root_(root), text_(json_at(root, "text_config")) {}

  std::optional<JsonElement> at(std::string_view key) const {
    if (const auto found = text_ ? json_at(*text_, key) : std::nullopt) return found;
    if (const auto found = json_at(root_, key)) return found;
    for (const auto& [name, first] : kFirstNames)
      if (key == name) return json_at(root_, first);
    return std::nullopt;
  }
  std::optional<double> number(std::string_view key) const {
    const auto found = at(key);
    double value;
    if (!found || found->get(value)) return std::nullopt;
    return value;
  }
  std::string_view text(std::string_view key) const {
    const auto found = at(key);
    std::string_view value;
    return found && !found->get(value) ? value : std::string_view();
  }
  std::optional<bool> flag(std::string_view key) const {
    const auto found = at(key);
    bool value;
    if (!found || found->get(value)) return std::nullopt;
    return value;
  }
  // A count; `fallback` where it is missing, an error where that is zero.
  Result<uint32_t> count(std::string_view key, uint32_t fallback) const {
    const auto found = at(key);
    uint64_t value = fallback;
    if (found && (found->get(value) || value == 0 || value > UINT32_MAX))
      return Status::bad_input(fmt::format("config.json: {} is no sound count", key), kTodo);
    if (value == 0) return Status::bad_input(fmt::format("config.json lacks {}", key), kTodo);
    return static_cast<uint32_t>(value);
  }

 private:
  JsonElement root_;
  std::optional<JsonElement> text_;
};

class Keys {
 public:
  Keys(Metadata& metadata, const char* architecture) : metadata_(metadata), prefix_(architecture) {}
  void u32(const char* key, uint32_t value) { metadata_.set_u32(name(key), value); }
  void f32(const char* key, double value) {
    metadata_.set_f32(name(key), static_cast<float>(value));
  }
  void text(const char* key, std::string_view value) { metadata_.set_string(name(key), value); }

 private:
  std::string name(const char* key) const { return prefix_ + "." + key; }
  Metadata& metadata_;
  std::string prefix_;
};

Result<const Architecture*> architecture_of(JsonElement root) {
  const auto classes = json_array(root, "architectures");
  std::string_view name;
  if (!classes || classes->size() == 0 || classes->at(0).get(name))
    return Status::bad_input("config.json names no architecture", kTodo);
  if (const Architecture* found = find_architecture_of_class(name)) return found;
  for (const char* count : {"num_experts", "num_local_experts", "n_routed_experts"})
    if (json_at(root, count))
      return Status::bad_input(
          fmt::format("a {}: mixtures of experts are not read from folders yet",
                      name.substr(0, 40)),
          "make a GGUF file of it, with llama.cpp's convert_hf_to_gguf.py");
  return Status::bad_input(fmt::format("architecture '{}' is not known", name.substr(0, 40)),
                           "known are those of " + known_architectures());
}

Status read_widths(const Fields& fields, const ConfigDefaults& defaults, Keys& keys) {
  const struct {
    const char *field, *key;
    uint32_t fallback;
  } counts[] = {{"num_hidden_layers", "block_count", 0},
                {"max_position_embeddings", "context_length", defaults.context},
                {"hidden_size", "embedding_length", 0},
                {"num_attention_heads", "attention.head_count", defaults.n_heads}};
  for (const auto& each : counts) {
    ASSIGN_OR_RETURN(const uint32_t value, fields.count(each.field, each.fallback));
    keys.u32(each.key, value);
  }
  ASSIGN_OR_RETURN(const uint32_t width, fields.count("hidden_size", 0));
  if (width > (1 << 20)) return Status::bad_input("config.json: hidden_size is absurd", kTodo);
  ASSIGN_OR_RETURN(const uint32_t ffn_width,
                   fields.count("intermediate_size", defaults.ffn_per_width * width));
  keys.u32("feed_forward_length", ffn_width);
  if (fields.at("num_key_value_heads") || defaults.n_kv_heads) {
    ASSIGN_OR_RETURN(const uint32_t kv_heads,
                     fields.count("num_key_value_heads", defaults.n_kv_heads));
    keys.u32("attention.head_count_kv", kv_heads);
  }
  if (!fields.at("head_dim") && defaults.head_dim == 0) return {};
  ASSIGN_OR_RETURN(const uint32_t head_dim, fields.count("head_dim", defaults.head_dim));
  keys.u32("attention.key_length", head_dim);
  keys.u32("attention.value_length", head_dim);
  return {};
}

// Where the rope of the global layers is described: rope_parameters (one object, or one per kind of
// layer) or rope_scaling.
std::optional<JsonElement> rope_object(const Fields& fields, const char* kind) {
  auto rope = fields.at("rope_parameters");
  if (!rope) rope = fields.at("rope_scaling");
  if (!rope) return std::nullopt;
  if (const auto inner = json_at(*rope, kind)) return inner;
  return std::string_view(kind) == "full_attention" ? rope : std::nullopt;
}

Result<std::vector<float>> llama3_factors(JsonElement json, double base, uint32_t head_dim) {
  Llama3Rope rope;
  rope.factor = json_number(json, "factor").value_or(rope.factor);
  rope.low = json_number(json, "low_freq_factor").value_or(rope.low);
  rope.high = json_number(json, "high_freq_factor").value_or(rope.high);
  rope.context = json_number(json, "original_max_position_embeddings").value_or(rope.context);
  if (!(rope.factor > 0) || !(rope.low > 0) || !(rope.high > rope.low) || !(rope.context > 0) ||
      head_dim > 65536)
    return Status::bad_input("config.json: the rope scaling of llama3 is not sound", kTodo);
  return llama3_rope_factors(rope, base, head_dim);
}

Status read_rope(const Fields& fields, HfConfig& config, Keys& keys) {
  const auto rope = rope_object(fields, "full_attention");
  std::optional<double> base = rope ? json_number(*rope, "rope_theta") : std::nullopt;
  if (!base) base = fields.number("rope_theta");
  const double fallback = config.architecture->defaults.rope_base;
  if (base || fallback > 0) keys.f32("rope.freq_base", base.value_or(fallback));
  const auto sliding = rope_object(fields, "sliding_attention");
  std::optional<double> local = sliding ? json_number(*sliding, "rope_theta") : std::nullopt;
  if (!local) local = fields.number("rope_local_base_freq");
  if (local) keys.f32("rope.freq_base_swa", *local);
  if (!rope) return {};
  const std::string_view type =
      json_string(*rope, "rope_type").value_or(json_string(*rope, "type").value_or("default"));
  if (type == "default") return {};
  if (type == "llama3") {
    ASSIGN_OR_RETURN(const HyperParameters h,
                     read_hyper_parameters(*config.architecture, config.metadata));
    ASSIGN_OR_RETURN(config.rope_factors, llama3_factors(*rope, base.value_or(10000), h.key_dim));
    return {};
  }
  const auto factor = json_number(*rope, "factor");
  if (type != "linear" || !factor)
    return Status::bad_input(fmt::format("rope scaling '{}' is not known yet", type.substr(0, 40)),
                             "use a model without it");
  keys.text("rope.scaling.type", "linear");
  keys.f32("rope.scaling.factor", *factor);
  return {};
}

Status read_sliding(const Fields& fields, const Architecture& architecture, Keys& keys) {
  if (architecture.sliding_pattern == 0) return {};
  uint32_t pattern = architecture.sliding_pattern;
  if (fields.at("sliding_window_pattern")) {
    ASSIGN_OR_RETURN(pattern, fields.count("sliding_window_pattern", 0));
  }
  if (pattern == 1) return {};
  ASSIGN_OR_RETURN(const uint32_t window, fields.count("sliding_window", 0));
  keys.u32("attention.sliding_window", window);
  if (pattern != architecture.sliding_pattern)
    keys.u32("attention.sliding_window_pattern", pattern);
  return {};
}

// Of GPT-2's relatives, those that compute something else.
Status refuse_relatives(const Fields& fields) {
  const char* other_model = "use a model without it";
  const std::string_view activation = fields.text("activation_function");
  if (!activation.empty() && activation != "gelu_new" && activation != "gelu_pytorch_tanh")
    return Status::bad_input(
        fmt::format("activation '{}' is not known yet", activation.substr(0, 40)), other_model);
  if (fields.flag("scale_attn_by_inverse_layer_idx").value_or(false) ||
      !fields.flag("scale_attn_weights").value_or(true))
    return Status::bad_input("attention at a scale of its own, which is not known yet",
                             other_model);
  return {};
}

Result<Type> read_type(const Fields& fields) {
  std::string_view name = fields.text("torch_dtype");
  if (name.empty()) name = fields.text("dtype");
  if (name == "bfloat16") return Type::BF16;
  if (name == "float16") return Type::F16;
  if (name == "float32" || name.empty()) return Type::F32;
  return Status::bad_input(
      fmt::format("config.json: weights of {} are not known", name.substr(0, 40)),
      "use the model in float32, float16 or bfloat16");
}

uint32_t file_type(Type type) { return type == Type::BF16 ? 32 : type == Type::F16 ? 1 : 0; }

}  // namespace

std::vector<float> llama3_rope_factors(const Llama3Rope& rope, double base, uint32_t head_dim) {
  std::vector<float> factors;
  for (uint32_t i = 0; i < head_dim; i += 2) {
    const auto exponent = static_cast<float>(i) / static_cast<float>(head_dim);
    const float frequency = 1.0f / std::pow(static_cast<float>(base), exponent);
    const double wavelength = 2 * std::numbers::pi / static_cast<double>(frequency);
    const double smooth = (rope.context / wavelength - rope.low) / (rope.high - rope.low);
    double value = 1 / ((1 - smooth) / rope.factor + smooth);
    if (wavelength < rope.context / rope.high) value = 1;
    if (wavelength > rope.context / rope.low) value = rope.factor;
    factors.push_back(static_cast<float>(value));
  }
  return factors;
}

Result<HfConfig> read_hf_config(JsonElement root, const std::string& name) {
  HfConfig config;
  ASSIGN_OR_RETURN(config.architecture, architecture_of(root));
  const Fields fields(root);
  const ConfigDefaults& defaults = config.architecture->defaults;
  if (fields.at("quantization_config"))
    return Status::bad_input("the folder's weights are quantized already",
                             "use the model in F32, F16 or BF16, or a GGUF file");
  ASSIGN_OR_RETURN(config.type, read_type(fields));
  Metadata& m = config.metadata;
  m.set_string("general.architecture", config.architecture->name);
  m.set_string("general.type", "model");
  m.set_string("general.name", name);
  m.set_u32("general.file_type", file_type(config.type));
  m.set_u32("general.quantization_version", 2);
  Keys keys(m, config.architecture->name);
  TRY(refuse_relatives(fields));
  TRY(read_widths(fields, defaults, keys));
  const Norm norm = config.architecture->norm;
  const auto epsilon = fields.number(norm == Norm::kRms ? "rms_norm_eps" : "layer_norm_epsilon");
  if (!epsilon && defaults.norm_epsilon == 0)
    return Status::bad_input("config.json lacks rms_norm_eps", kTodo);
  keys.f32(epsilon_key(norm), epsilon.value_or(defaults.norm_epsilon));
  TRY(read_rope(fields, config, keys));
  TRY(read_sliding(fields, *config.architecture, keys));
  if (const auto cap = fields.number("final_logit_softcapping"); cap && *cap > 0)
    keys.f32("final_logit_softcapping", *cap);
  if (fields.at("vocab_size")) {
    ASSIGN_OR_RETURN(config.vocabulary, fields.count("vocab_size", 0));
  }
  config.qkv_bias = fields.flag("attention_bias").value_or(defaults.qkv_bias);
  config.tied = fields.flag("tie_word_embeddings").value_or(defaults.tied);
  return config;
}

}  // namespace enxuto
