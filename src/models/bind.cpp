#include "models/bind.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/checked.h"

namespace enxuto {
namespace {

constexpr const char* kTodo = "the file does not fit its architecture; convert the model anew";

class KeyReader {
 public:
  KeyReader(const Architecture& architecture, const Metadata& metadata)
      : prefix_(std::string(architecture.name) + "."), metadata_(metadata) {}

  // A count in [least, most]. Arrays that hold one value all over count as that value.
  Status count(const char* key, uint32_t least, uint32_t most, uint32_t& value,
               bool required = true) const {
    const MetaValue* found = metadata_.find(prefix_ + key);
    if (!found && !required) return {};
    if (!found) return missing(key);
    std::optional<uint64_t> n = found->as_unsigned();
    if (const auto many = found->as_numbers(); many && !many->empty()) {
      for (double each : *many)
        if (each != many->front())
          return Status::bad_input(fmt::format(
              "{}{} differs from layer to layer, which is not known yet", prefix_, key));
      if (many->front() >= 0 && many->front() < 0x1p32) n = static_cast<uint64_t>(many->front());
    }
    if (!n || *n < least || *n > most) return no_number(key, least, most);
    value = static_cast<uint32_t>(*n);
    return {};
  }

  // A count for each of the layers, from one number or an array.
  Status counts(const char* key, uint32_t most, std::vector<uint32_t>& layers,
                bool required = true) const {
    const MetaValue* found = metadata_.find(prefix_ + key);
    const auto many = found ? found->as_numbers() : std::nullopt;
    if (!many) {
      uint32_t all = 0;
      TRY(count(key, 0, most, all, required));
      if (found) layers.assign(layers.size(), all);
      return {};
    }
    if (many->size() != layers.size())
      return Status::bad_input(fmt::format("{}{} has {} numbers for {} layers", prefix_, key,
                                           many->size(), layers.size()),
                               kTodo);
    for (size_t l = 0; l < layers.size(); ++l) {
      const double n = (*many)[l];
      if (!(n >= 0 && n <= most) || n != std::floor(n)) return no_number(key, 0u, most);
      layers[l] = static_cast<uint32_t>(n);
    }
    return {};
  }

  Status number(const char* key, float least, float most, float& value,
                bool required = true) const {
    const MetaValue* found = metadata_.find(prefix_ + key);
    if (!found && !required) return {};
    if (!found) return missing(key);
    const auto n = found->as_number();
    if (!n || !(*n >= least) || !(*n <= most)) return no_number(key, least, most);
    value = static_cast<float>(*n);
    return {};
  }

  std::optional<std::vector<double>> numbers(const char* key) const {
    const MetaValue* found = metadata_.find(prefix_ + key);
    return found ? found->as_numbers() : std::nullopt;
  }

  Status uneven_sliding() const {
    return Status::bad_input(
        fmt::format(
            "{}attention.sliding_window_pattern has no regular rhythm, which is not known yet",
            prefix_),
        kTodo);
  }

  std::optional<std::string_view> text(const char* key) const {
    return metadata_.string_at(prefix_ + key);
  }

 private:
  template <class Number>
  Status no_number(const char* key, Number least, Number most) const {
    return Status::bad_input(
        fmt::format("{}{} is not a number from {} to {}", prefix_, key, least, most), kTodo);
  }
  Status missing(const char* key) const {
    return Status::bad_input(fmt::format("the metadata has no {}{}", prefix_, key), kTodo);
  }
  std::string prefix_;
  const Metadata& metadata_;
};

Status read_rope(const KeyReader& keys, const Architecture& architecture, HyperParameters& h) {
  if (architecture.learned_positions) return {};
  h.rope_dims = h.key_dim;
  TRY(keys.count("rope.dimension_count", 2, 65536, h.rope_dims, false));
  if (h.rope_dims % 2 != 0 || h.rope_dims > h.key_dim)
    return Status::bad_input(
        fmt::format("rope over {} of {} values of a head", h.rope_dims, h.key_dim), kTodo);
  TRY(keys.number("rope.freq_base", 1e-3f, 1e12f, h.rope_base, false));
  h.rope_base_sliding =
      architecture.rope_base_sliding > 0 ? architecture.rope_base_sliding : h.rope_base;
  TRY(keys.number("rope.freq_base_swa", 1e-3f, 1e12f, h.rope_base_sliding, false));
  // Without a type a factor means linear scaling, under its old key too.
  const std::string_view scaling = keys.text("rope.scaling.type").value_or("linear");
  if (scaling == "none" || scaling == "") return {};
  if (scaling != "linear")
    return Status::bad_input(
        fmt::format("rope scaling '{}' is not known yet", std::string(scaling.substr(0, 40))),
        "use a model without it");
  float factor = 0;
  TRY(keys.number("rope.scale_linear", 0, 1e6f, factor, false));
  TRY(keys.number("rope.scaling.factor", 0, 1e6f, factor, false));
  if (factor > 0) h.rope_scale = factor;
  return {};
}

// Which layers slide: a number n (every n-th does not), or one flag a layer in that same rhythm.
Status read_sliding(const KeyReader& keys, const Architecture& architecture, HyperParameters& h) {
  if (architecture.sliding_pattern == 0) return {};
  TRY(keys.count("attention.sliding_window", 0, 1u << 30, h.sliding_window, false));
  h.sliding_pattern = architecture.sliding_pattern;
  const auto flags = keys.numbers("attention.sliding_window_pattern");
  if (!flags)
    return keys.count("attention.sliding_window_pattern", 1, 4096, h.sliding_pattern, false);
  h.sliding_pattern = 1;  // flags[n - 1] is the first global layer
  while (h.sliding_pattern <= flags->size() && (*flags)[h.sliding_pattern - 1] != 0)
    ++h.sliding_pattern;
  const bool whole = flags->size() == h.n_layers;
  for (uint32_t l = 0; l < h.n_layers && whole; ++l)
    if (((*flags)[l] != 0) != ((l + 1) % h.sliding_pattern != 0)) return keys.uneven_sliding();
  return whole ? Status() : keys.uneven_sliding();
}

constexpr uint32_t kMostHeads = 1 << 16, kMostFfn = 1 << 22;

// How many experts there are, and how many of them a token meets. Some files of one network say 0.
Status read_mixture(const KeyReader& keys, const Architecture& architecture, HyperParameters& h) {
  const bool always = architecture.layer.empty();
  TRY(keys.count("expert_count", always ? 2 : 0, kMostExperts, h.n_experts, always));
  if (h.n_experts == 0) return {};
  if (architecture.mixture.layer.empty())
    return Status::bad_input(
        fmt::format("a {} that is a mixture of experts, which is not known yet", h.architecture),
        "use a model without experts");
  if (h.n_experts == 1)
    return Status::bad_input("a mixture of one expert, which is not known yet", kTodo);
  TRY(keys.count("expert_used_count", 1, h.n_experts, h.n_experts_used));
  uint32_t groups = 0;
  TRY(keys.count("expert_group_count", 0, kMostExperts, groups, false));
  if (groups > 1)
    return Status::bad_input("experts in groups, which is not known yet",
                             "use a model without them");
  h.normalizes_experts = architecture.mixture.normalizes;
  return {};
}

Status read_ffn_width(const KeyReader& keys, const Architecture& architecture, HyperParameters& h) {
  const bool own = h.n_experts && architecture.mixture.own_width;
  TRY(keys.count("feed_forward_length", 1, kMostFfn, h.ffn_width, !own));
  if (!own) return {};
  h.shared_ffn_width = h.ffn_width;
  TRY(keys.count("expert_shared_feed_forward_length", 0, kMostFfn, h.shared_ffn_width, false));
  if (h.shared_ffn_width == 0) h.shared_ffn_width = h.ffn_width;
  // As llama.cpp has it: unless said, the experts that a token meets are as wide as one network.
  h.ffn_width /= h.n_experts_used;
  uint32_t width = 0;
  TRY(keys.count("expert_feed_forward_length", 0, kMostFfn, width, h.ffn_width == 0));
  if (width > 0) h.ffn_width = width;
  if (h.ffn_width == 0) return Status::bad_input("experts of no width", kTodo);
  return {};
}

Status read_even_widths(const KeyReader& keys, const Architecture& architecture,
                        HyperParameters& h) {
  TRY(read_ffn_width(keys, architecture, h));
  TRY(keys.count("attention.head_count", 1, kMostHeads, h.n_heads));
  h.n_kv_heads = h.n_heads;
  TRY(keys.count("attention.head_count_kv", 1, kMostHeads, h.n_kv_heads, false));
  if (h.n_heads % h.n_kv_heads != 0)
    return Status::bad_input(
        fmt::format("{} heads cannot share {} key/value heads", h.n_heads, h.n_kv_heads), kTodo);
  return {};
}

// What llama.cpp computes in another way, or leaves out, is refused.
Status check_widths(uint32_t layer, const LayerWidths& w) {
  const char* other_model = "use a model without such layers";
  if (w.ffn_width == 0)
    return Status::bad_input(
        fmt::format("layer {} has no feed-forward network, which is not known yet", layer),
        other_model);
  if (w.n_heads > 0 && w.n_kv_heads == 0)
    return Status::bad_input(
        fmt::format("layer {} has heads without keys and values (linear attention), which is not "
                    "known yet",
                    layer),
        other_model);
  if (w.n_heads == 0 ? w.n_kv_heads > 0 : w.n_heads % w.n_kv_heads != 0)
    return Status::bad_input(fmt::format("layer {}: {} heads cannot share {} key/value heads",
                                         layer, w.n_heads, w.n_kv_heads),
                             kTodo);
  return {};
}

Status read_uneven_widths(const KeyReader& keys, HyperParameters& h) {
  std::vector<uint32_t> ffn(h.n_layers), heads(h.n_layers);
  TRY(keys.counts("feed_forward_length", kMostFfn, ffn));
  TRY(keys.counts("attention.head_count", kMostHeads, heads));
  std::vector<uint32_t> kv_heads = heads;
  TRY(keys.counts("attention.head_count_kv", kMostHeads, kv_heads, false));
  bool alike = true;
  for (uint32_t l = 0; l < h.n_layers; ++l) {
    const LayerWidths widths = {heads[l], kv_heads[l], ffn[l]};
    TRY(check_widths(l, widths));
    alike &= l == 0 || widths == h.uneven.front();
    h.uneven.push_back(widths);
    h.n_heads = std::max(h.n_heads, widths.n_heads);
    h.n_kv_heads = std::max(h.n_kv_heads, widths.n_kv_heads);
    h.ffn_width = std::max(h.ffn_width, widths.ffn_width);
  }
  if (h.n_heads == 0)
    return Status::bad_input("no layer has attention, which is not known yet", kTodo);
  if (alike) h.uneven.clear();
  return {};
}

// Unless said, a head is as wide as the first layer's heads make it. (llama.cpp 0.3.36 believes the
// keys only where the first layer has heads: it loads no other file.)
Status read_head_dims(const KeyReader& keys, HyperParameters& h) {
  h.key_dim = h.attends(0) ? h.width / h.widths(0).n_heads : 0;
  h.value_dim = h.key_dim;
  TRY(keys.count("attention.key_length", 1, 1 << 16, h.key_dim, !h.attends(0)));
  TRY(keys.count("attention.value_length", 1, 1 << 16, h.value_dim, !h.attends(0)));
  if (h.key_dim == 0 || h.key_dim != h.value_dim)
    return Status::bad_input(
        fmt::format("heads of {} (keys) and {} (values) values are not known yet", h.key_dim,
                    h.value_dim),
        kTodo);
  if (uint64_t{h.n_heads} * h.key_dim > (1 << 22))
    return Status::bad_input("the heads are absurdly wide", kTodo);
  return {};
}

class Binder {
 public:
  explicit Binder(Model& model) : model_(model) {
    for (Tensor& t : model.tensors) unbound_[t.name] = &t;
  }

  // `layer`: whose widths its shape has.
  Status bind(const std::string& name, const TensorRule& rule, const Tensor*& slot,
              uint32_t layer = 0) {
    const auto found = unbound_.find(name);
    if (found == unbound_.end()) {
      if (!rule.required) return {};
      return Status::bad_input(fmt::format("tensor {} is missing", name), kTodo);
    }
    Tensor& t = *found->second;
    unbound_.erase(found);
    const uint64_t columns = length_of(rule.columns, model_.hyper, layer),
                   rows = length_of(rule.rows, model_.hyper, layer),
                   matrices = rule.each_expert ? model_.hyper.n_experts : 1;
    if (t.shape[0] != columns || t.shape[1] != rows || t.shape[2] != matrices || t.shape[3] != 1)
      return Status::bad_input(
          fmt::format("tensor {} is {} instead of {} x {}{}", name, shape_text(t), columns, rows,
                      matrices > 1 ? fmt::format(" x {}", matrices) : ""),
          kTodo);
    if (!t.codec().decode)
      return Status::bad_input(fmt::format("tensor {} holds {}, no weights", name, t.codec().name),
                               kTodo);
    slot = &t;
    return rule.rows == Dim::kNone ? use_as_floats(t) : Status();
  }

  // A tensor that nobody asked for would be left out of the computation in silence.
  Status refuse_leftovers() const {
    if (unbound_.empty()) return {};
    std::string_view name = unbound_.begin()->first;
    for (const auto& [other, tensor] : unbound_) name = std::min(name, other);
    return Status::bad_input(fmt::format("tensor {} is not part of a {} as enxuto knows it",
                                         name.substr(0, 80), model_.hyper.architecture),
                             "use a model without additions");
  }

 private:
  static std::string shape_text(const Tensor& t) {
    std::string text = fmt::format("{}", t.shape[0]);
    for (uint32_t d = 1; d < std::max(t.n_dims, 2u); ++d) text += fmt::format(" x {}", t.shape[d]);
    return text;
  }

  // Norms and biases are small; they are used as floats. Those that are floats stay where they lie:
  // opening a model reads no weights.
  Status use_as_floats(Tensor& t) {
    if (!t.data.empty() && t.type != Type::F32) {
      auto floats = std::make_shared<std::vector<uint8_t>>(t.count() * sizeof(float));
      t.codec().decode(t.data.data(), reinterpret_cast<float*>(floats->data()), t.count());
      t.data = *floats;
      model_.owned.push_back(std::move(floats));
    }
    t.type = Type::F32;
    return {};
  }

  Model& model_;
  std::unordered_map<std::string_view, Tensor*> unbound_;
};

Status check_vocabulary(const Model& model) {
  const MetaValue* tokens = model.metadata.find("tokenizer.ggml.tokens");
  if (!tokens || tokens->type != ValueType::Array) return {};
  if (tokens->count != model.hyper.vocabulary)
    return Status::bad_input(fmt::format("the tokenizer has {} tokens, token_embd.weight {} rows",
                                         tokens->count, model.hyper.vocabulary),
                             kTodo);
  return {};
}

}  // namespace

Result<HyperParameters> read_hyper_parameters(const Architecture& architecture,
                                              const Metadata& metadata) {
  const KeyReader keys(architecture, metadata);
  HyperParameters h;
  h.architecture = architecture.name;
  h.name = metadata.string_at("general.name").value_or("");
  h.rope_layout = architecture.rope_layout;
  h.gate = architecture.gate;
  h.norm = architecture.norm;
  h.learned_positions = architecture.learned_positions;
  TRY(read_mixture(keys, architecture, h));
  TRY(keys.count("block_count", 1, 4096, h.n_layers));
  TRY(keys.count("embedding_length", 1, 1 << 20, h.width));
  TRY(architecture.uneven ? read_uneven_widths(keys, h) : read_even_widths(keys, architecture, h));
  TRY(keys.count("context_length", 1, 1u << 31, h.trained_context));
  TRY(keys.number(epsilon_key(h.norm), 0, 1, h.norm_epsilon));
  TRY(read_head_dims(keys, h));
  TRY(read_rope(keys, architecture, h));
  TRY(read_sliding(keys, architecture, h));
  if (architecture.scales_embedding) h.embedding_scale = std::sqrt(static_cast<float>(h.width));
  TRY(keys.number("final_logit_softcapping", 0, 1e6f, h.final_logit_softcap, false));
  // Gemma 3 of 27 billion parameters, known by its 62 layers, scales by the width a head would
  // have.
  const bool by_width = h.architecture == "gemma3" && h.n_layers == 62;
  h.attention_scale =
      1.0f / std::sqrt(static_cast<float>(by_width ? h.width / h.n_heads : h.key_dim));
  return h;
}

Status bind_tensors(const Architecture& architecture, Model& model) {
  HyperParameters& h = model.hyper;
  const Tensor* embedding = model.find("token_embd.weight");
  if (!embedding) return Status::bad_input("tensor token_embd.weight is missing", kTodo);
  if (embedding->rows() > (1u << 30))
    return Status::bad_input("the vocabulary is absurdly large", kTodo);
  h.vocabulary = static_cast<uint32_t>(embedding->rows());
  if (uint64_t{h.n_layers} > model.tensors.size())
    return Status::bad_input(
        fmt::format("{} layers, but only {} tensors", h.n_layers, model.tensors.size()), kTodo);
  Binder binder(model);
  TRY(binder.bind(kEmbeddingRule.gguf, kEmbeddingRule, model.token_embedding));
  if (architecture.learned_positions)
    TRY(binder.bind(kPositionRule.gguf, kPositionRule, model.position_embedding));
  TRY(binder.bind(kOutputNormRule.gguf, kOutputNormRule, model.output_norm));
  if (architecture.norm == Norm::kMeanAndVariance)
    TRY(binder.bind(kOutputNormBiasRule.gguf, kOutputNormBiasRule, model.output_norm_bias));
  model.output = model.token_embedding;
  TRY(binder.bind(kOutputRule.gguf, kOutputRule, model.output));
  TRY(binder.bind(kRopeFactorsRule.gguf, kRopeFactorsRule, model.rope_factors));
  model.layers.resize(h.n_layers);
  for (uint32_t layer = 0; layer < h.n_layers; ++layer)
    for (const TensorRule& rule : layer_rules(architecture, h))
      if (!is_of_attention(rule) || h.attends(layer))
        TRY(binder.bind(layer_tensor_name(layer, rule), rule, model.layers[layer].*rule.slot,
                        layer));
  TRY(binder.refuse_leftovers());
  return check_vocabulary(model);
}

}  // namespace enxuto
