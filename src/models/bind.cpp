#include "models/bind.h"

#include <fmt/format.h>

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
    if (!n || *n < least || *n > most)
      return Status::bad_input(
          fmt::format("{}{} is not a number from {} to {}", prefix_, key, least, most), kTodo);
    value = static_cast<uint32_t>(*n);
    return {};
  }

  Status number(const char* key, float least, float most, float& value,
                bool required = true) const {
    const MetaValue* found = metadata_.find(prefix_ + key);
    if (!found && !required) return {};
    if (!found) return missing(key);
    const auto n = found->as_number();
    if (!n || !(*n >= least) || !(*n <= most))
      return Status::bad_input(
          fmt::format("{}{} is not a number from {} to {}", prefix_, key, least, most), kTodo);
    value = static_cast<float>(*n);
    return {};
  }

  std::optional<std::string_view> text(const char* key) const {
    return metadata_.string_at(prefix_ + key);
  }

 private:
  Status missing(const char* key) const {
    return Status::bad_input(fmt::format("the metadata has no {}{}", prefix_, key), kTodo);
  }
  std::string prefix_;
  const Metadata& metadata_;
};

Status read_rope(const KeyReader& keys, const Architecture& architecture, HyperParameters& h) {
  h.rope_dims = h.key_dim;
  TRY(keys.count("rope.dimension_count", 2, 65536, h.rope_dims, false));
  if (h.rope_dims % 2 != 0 || h.rope_dims > h.key_dim)
    return Status::bad_input(
        fmt::format("rope over {} of {} values of a head", h.rope_dims, h.key_dim), kTodo);
  TRY(keys.number("rope.freq_base", 1e-3f, 1e12f, h.rope_base, false));
  h.rope_base_sliding =
      architecture.rope_base_sliding > 0 ? architecture.rope_base_sliding : h.rope_base;
  TRY(keys.number("rope.freq_base_swa", 1e-3f, 1e12f, h.rope_base_sliding, false));
  const std::string_view scaling = keys.text("rope.scaling.type").value_or("none");
  if (scaling == "linear")
    return keys.number("rope.scaling.factor", 1e-3f, 1e6f, h.rope_scale, false);
  if (scaling != "none" && scaling != "")
    return Status::bad_input(
        fmt::format("rope scaling '{}' is not known yet", std::string(scaling.substr(0, 40))));
  return {};
}

uint64_t length_of(Dim dim, const HyperParameters& h) {
  switch (dim) {
    case Dim::kNone:
      return 1;
    case Dim::kWidth:
      return h.width;
    case Dim::kVocabulary:
      return h.vocabulary;
    case Dim::kQueryWidth:
      return h.query_width();
    case Dim::kKeyWidth:
      return h.key_width();
    case Dim::kValueWidth:
      return h.value_width();
    case Dim::kKeyDim:
      return h.key_dim;
    case Dim::kFfn:
      return h.ffn_width;
    case Dim::kHeadWidth:
      return uint64_t{h.n_heads} * h.value_dim;
    case Dim::kRopeHalf:
      return h.rope_dims / 2;
  }
  return 0;
}

class Binder {
 public:
  explicit Binder(Model& model) : model_(model) {
    for (Tensor& t : model.tensors) by_name_[t.name] = &t;
  }

  Status bind(const std::string& name, Dim columns, Dim rows, bool required, const Tensor*& slot) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      if (!required) return {};
      return Status::bad_input(fmt::format("tensor {} is missing", name), kTodo);
    }
    Tensor& t = *found->second;
    const uint64_t want_columns = length_of(columns, model_.hyper),
                   want_rows = length_of(rows, model_.hyper);
    if (t.columns() != want_columns || t.rows() != want_rows)
      return Status::bad_input(fmt::format("tensor {} is {} x {} instead of {} x {}", name,
                                           t.columns(), t.rows(), want_columns, want_rows),
                               kTodo);
    if (!t.codec().decode)
      return Status::bad_input(fmt::format("tensor {} holds {}, no weights", name, t.codec().name),
                               kTodo);
    if (rows == Dim::kNone && t.type != Type::F32) convert(t);
    slot = &t;
    return {};
  }

 private:
  // Norms and biases are used as floats; they are small.
  void convert(Tensor& t) {
    if (!t.data.empty()) {
      auto floats = std::make_shared<std::vector<uint8_t>>(t.count() * sizeof(float));
      t.codec().decode(t.data.data(), reinterpret_cast<float*>(floats->data()), t.count());
      t.data = *floats;
      model_.owned.push_back(std::move(floats));
    }
    t.type = Type::F32;
  }

  Model& model_;
  std::unordered_map<std::string_view, Tensor*> by_name_;
};

}  // namespace

Result<HyperParameters> read_hyper_parameters(const Architecture& architecture,
                                              const Metadata& metadata) {
  const KeyReader keys(architecture, metadata);
  HyperParameters h;
  h.architecture = architecture.name;
  h.name = metadata.string_at("general.name").value_or("");
  h.rope_layout = architecture.rope_layout;
  h.gate = architecture.gate;
  TRY(keys.count("block_count", 1, 4096, h.n_layers));
  TRY(keys.count("embedding_length", 1, 1 << 20, h.width));
  TRY(keys.count("feed_forward_length", 1, 1 << 22, h.ffn_width));
  TRY(keys.count("attention.head_count", 1, 1 << 16, h.n_heads));
  h.n_kv_heads = h.n_heads;
  TRY(keys.count("attention.head_count_kv", 1, 1 << 16, h.n_kv_heads, false));
  TRY(keys.count("context_length", 1, 1u << 31, h.trained_context));
  TRY(keys.number("attention.layer_norm_rms_epsilon", 0, 1, h.norm_epsilon));
  if (h.n_heads % h.n_kv_heads != 0)
    return Status::bad_input(
        fmt::format("{} heads cannot share {} key/value heads", h.n_heads, h.n_kv_heads), kTodo);
  h.key_dim = h.width / h.n_heads;
  TRY(keys.count("attention.key_length", 1, 1 << 16, h.key_dim, false));
  h.value_dim = h.key_dim;
  TRY(keys.count("attention.value_length", 1, 1 << 16, h.value_dim, false));
  if (h.key_dim == 0 || h.key_dim != h.value_dim)
    return Status::bad_input(fmt::format(
        "heads of {} (keys) and {} (values) values are not known yet", h.key_dim, h.value_dim));
  if (uint64_t{h.n_heads} * h.key_dim > (1 << 22))
    return Status::bad_input("the heads are absurdly wide", kTodo);
  TRY(read_rope(keys, architecture, h));
  if (architecture.sliding_pattern > 0) {
    TRY(keys.count("attention.sliding_window", 0, 1u << 31, h.sliding_window, false));
    h.sliding_pattern = architecture.sliding_pattern;
    TRY(keys.count("attention.sliding_window_pattern", 1, 4096, h.sliding_pattern, false));
  }
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
  Binder binder(model);
  TRY(binder.bind("token_embd.weight", Dim::kWidth, Dim::kVocabulary, true, model.token_embedding));
  TRY(binder.bind("output_norm.weight", Dim::kWidth, Dim::kNone, true, model.output_norm));
  model.output = model.token_embedding;
  TRY(binder.bind("output.weight", Dim::kWidth, Dim::kVocabulary, false, model.output));
  TRY(binder.bind("rope_freqs.weight", Dim::kRopeHalf, Dim::kNone, false, model.rope_factors));
  if (uint64_t{h.n_layers} > model.tensors.size())
    return Status::bad_input(
        fmt::format("{} layers, but only {} tensors", h.n_layers, model.tensors.size()), kTodo);
  model.layers.resize(h.n_layers);
  for (uint32_t layer = 0; layer < h.n_layers; ++layer)
    for (const TensorRule& rule : architecture.layer)
      TRY(binder.bind(fmt::format("blk.{}.{}", layer, rule.gguf), rule.columns, rule.rows,
                      rule.required, model.layers[layer].*rule.slot));
  return {};
}

}  // namespace enxuto
