#include "tests/tiny/tiny_model.h"

#include <fmt/format.h>

#include <cmath>

namespace enxuto {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // About normal, by additions only, so that no library's rounding can change a bit.
  float normal() {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<double>(next() >> 40) * 0x1p-24;
    return static_cast<float>((sum - 2) * 1.75);
  }

 private:
  uint64_t next() {  // splitmix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  uint64_t state_;
};

class Builder {
 public:
  explicit Builder(TinyModel& model) : model_(model), random_(model.options.seed) {}

  void matrix(const std::string& name, uint64_t columns, uint64_t rows, double spread = 1.0) {
    fill(name, {columns, rows}, 0.0f, static_cast<float>(spread / std::sqrt(columns)));
  }
  // One for each expert.
  void matrices(const std::string& name, uint64_t columns, uint64_t rows) {
    fill(name, {columns, rows, model_.options.n_experts}, 0.0f,
         static_cast<float>(1 / std::sqrt(columns)));
  }
  void vector(const std::string& name, uint64_t n, float center, float spread) {
    fill(name, {n}, center, spread);
  }
  void norm(const std::string& name, uint64_t n, float outlier = 1) {
    vector(name, n, 1.0f, 0.1f);
    model_.tensors.back().values[7] *= outlier;
  }

 private:
  void fill(const std::string& name, std::vector<uint64_t> shape, float center, float spread) {
    TinyTensor tensor{name, std::move(shape), {}};
    uint64_t count = 1;
    for (const uint64_t dim : tensor.shape) count *= dim;
    tensor.values.resize(count);
    for (float& value : tensor.values) value = center + spread * random_.normal();
    model_.tensors.push_back(std::move(tensor));
  }
  TinyModel& model_;
  Random random_;
};

void add_attention(const TinyModel& m, uint32_t layer, const std::string& prefix, Builder& b) {
  const TinyWidths widths = m.widths(layer);
  const uint64_t width = m.options.width, q_width = uint64_t{widths.n_heads} * m.head_dim,
                 kv_width = uint64_t{widths.n_kv_heads} * m.head_dim;
  b.norm(prefix + "attn_norm.weight", width);
  b.matrix(prefix + "attn_q.weight", width, q_width);
  b.matrix(prefix + "attn_k.weight", width, kv_width);
  b.matrix(prefix + "attn_v.weight", width, kv_width);
  b.matrix(prefix + "attn_output.weight", q_width, width);
  if (m.is("qwen2") || m.is("qwen2moe") || m.options.attention_bias) {
    b.vector(prefix + "attn_q.bias", q_width, 0, 0.2f);
    b.vector(prefix + "attn_k.bias", kv_width, 0, 0.2f);
    b.vector(prefix + "attn_v.bias", kv_width, 0, 0.2f);
  }
  if (m.is("qwen3") || m.is("qwen3moe") || m.is("gemma3")) {
    b.norm(prefix + "attn_q_norm.weight", m.head_dim);
    b.norm(prefix + "attn_k_norm.weight", m.head_dim);
  }
}

void add_gpt2_layer(const TinyModel& m, uint32_t layer, Builder& b) {
  const std::string prefix = fmt::format("blk.{}.", layer);
  const uint64_t width = m.options.width;
  const auto linear = [&](const std::string& name, uint64_t columns, uint64_t rows) {
    b.matrix(prefix + name + ".weight", columns, rows);
    b.vector(prefix + name + ".bias", rows, 0, 0.2f);
  };
  b.norm(prefix + "attn_norm.weight", width);
  b.vector(prefix + "attn_norm.bias", width, 0, 0.2f);
  linear("attn_qkv", width, 3 * width);
  linear("attn_output", width, width);
  b.norm(prefix + "ffn_norm.weight", width, m.options.outlier);
  b.vector(prefix + "ffn_norm.bias", width, 0, 0.2f);
  linear("ffn_up", width, m.ffn_width);
  linear("ffn_down", m.ffn_width, width);
}

void add_mixture(const TinyModel& m, const std::string& prefix, Builder& b) {
  const uint64_t width = m.options.width, shared = m.shared_ffn_width();
  b.matrix(prefix + "ffn_gate_inp.weight", width, m.options.n_experts, 3);
  b.matrices(prefix + "ffn_gate_exps.weight", width, m.ffn_width);
  b.matrices(prefix + "ffn_up_exps.weight", width, m.ffn_width);
  b.matrices(prefix + "ffn_down_exps.weight", m.ffn_width, width);
  if (shared == 0) return;
  b.vector(prefix + "ffn_gate_inp_shexp.weight", width, 0, 0.1f);
  b.matrix(prefix + "ffn_gate_shexp.weight", width, shared);
  b.matrix(prefix + "ffn_up_shexp.weight", width, shared);
  b.matrix(prefix + "ffn_down_shexp.weight", shared, width);
}

void add_layer(const TinyModel& m, uint32_t layer, Builder& b) {
  if (m.is("gpt2")) return add_gpt2_layer(m, layer, b);
  const std::string prefix = fmt::format("blk.{}.", layer);
  const uint64_t width = m.options.width, ffn_width = m.widths(layer).ffn_width;
  if (m.widths(layer).n_heads) add_attention(m, layer, prefix, b);
  b.norm(prefix + "ffn_norm.weight", width, m.options.outlier);
  if (m.mixed()) return add_mixture(m, prefix, b);
  b.matrix(prefix + "ffn_gate.weight", width, ffn_width);
  b.matrix(prefix + "ffn_up.weight", width, ffn_width);
  b.matrix(prefix + "ffn_down.weight", ffn_width, width);
  if (m.is("gemma3")) {
    b.norm(prefix + "post_attention_norm.weight", width);
    b.norm(prefix + "post_ffw_norm.weight", width);
  }
}

// A number where all layers have it, else one for each.
void set_widths(const TinyModel& m, const std::string& key, uint32_t TinyWidths::*part,
                Metadata& metadata) {
  if (!m.is("deci")) return metadata.set_u32(key, m.widths(0).*part);
  std::vector<int32_t> all;
  for (uint32_t l = 0; l < m.n_layers; ++l) all.push_back(static_cast<int32_t>(m.widths(l).*part));
  metadata.set_i32s(key, all);
}

void set_hyper_parameters(const TinyModel& m, Metadata& metadata) {
  const auto key = [&](const char* name) { return m.gguf_architecture() + "." + name; };
  metadata.set_u32(key("block_count"), m.n_layers);
  metadata.set_u32(key("context_length"), m.context());
  metadata.set_u32(key("embedding_length"), m.options.width);
  set_widths(m, key("feed_forward_length"), &TinyWidths::ffn_width, metadata);
  set_widths(m, key("attention.head_count"), &TinyWidths::n_heads, metadata);
  set_widths(m, key("attention.head_count_kv"), &TinyWidths::n_kv_heads, metadata);
  if (m.is("gpt2")) return metadata.set_f32(key("attention.layer_norm_epsilon"), 1e-5f);
  if (m.mixed()) {
    metadata.set_u32(key("expert_count"), m.options.n_experts);
    metadata.set_u32(key("expert_used_count"), TinyModel::kExpertsUsed);
    if (!m.is("llama")) metadata.set_u32(key("expert_feed_forward_length"), m.ffn_width);
    if (const uint32_t shared = m.shared_ffn_width())
      metadata.set_u32(key("expert_shared_feed_forward_length"), shared);
  }
  metadata.set_u32(key("attention.key_length"), m.head_dim);
  metadata.set_u32(key("attention.value_length"), m.head_dim);
  metadata.set_f32(key("attention.layer_norm_rms_epsilon"), 1e-6f);
  metadata.set_f32(key("rope.freq_base"), m.is("llama") ? 10000.0f : 1000000.0f);
  if (m.is("llama") || m.is("deci")) metadata.set_u32(key("rope.dimension_count"), m.head_dim);
  if (m.sliding_window) {
    metadata.set_u32(key("attention.sliding_window"), m.sliding_window);
    metadata.set_string(key("rope.scaling.type"), "linear");
    metadata.set_f32(key("rope.scaling.factor"), 8.0f);
  }
}

void set_tokenizer(const TinyModel& m, Metadata& metadata) {
  const TinyTokenizer& t = tiny_tokenizer();
  std::vector<int32_t> types(t.tokens.size(), 1);           // normal
  for (uint32_t i = 0; i < t.n_control; ++i) types[i] = 3;  // control
  metadata.set_string("tokenizer.ggml.model", "gpt2");
  metadata.set_string("tokenizer.ggml.pre", "gpt-2");
  metadata.set_strings("tokenizer.ggml.tokens", {t.tokens.begin(), t.tokens.end()});
  metadata.set_i32s("tokenizer.ggml.token_type", types);
  metadata.set_strings("tokenizer.ggml.merges", {t.merges.begin(), t.merges.end()});
  metadata.set_u32("tokenizer.ggml.bos_token_id", 0);
  metadata.set_u32("tokenizer.ggml.eos_token_id", 2);
  metadata.set_bool("tokenizer.ggml.add_bos_token", m.options.add_bos);
  metadata.set_string("tokenizer.chat_template",
                      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
                      "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
                      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}");
}

}  // namespace

// Every fourth layer of a deci has all there is, and those between lack some of it: half of the
// heads, all attention, a group of heads and its keys and values.
TinyWidths TinyModel::widths(uint32_t layer) const {
  if (!is("deci")) return {n_heads, n_kv_heads, ffn_width};
  const TinyWidths all[] = {{n_heads, n_kv_heads, ffn_width},
                            {n_heads / 2, n_kv_heads, ffn_width - 64},
                            {0, 0, ffn_width},
                            {n_heads / 2, n_kv_heads / 2, ffn_width - 32}};
  return all[layer % 4];
}

TinyTensor* TinyModel::find(std::string_view name) {
  for (TinyTensor& tensor : tensors)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

TinyModel tiny_model(const TinyOptions& options) {
  TinyModel m{};
  m.options = options;
  // Heads as wide as the width says, or wider, as each architecture's published models have them.
  const bool wide_heads = m.is("qwen3") || m.is("qwen3moe") || m.is("gemma3") || m.is("deci");
  const uint32_t n_layers = m.is("gemma3") ? 7 : m.is("deci") ? 4 : 3;
  m.n_layers = options.n_layers ? options.n_layers : n_layers;
  m.head_dim = wide_heads || m.is("gpt2") ? 32 : 16;
  m.n_heads = wide_heads ? 4 : options.width / m.head_dim;
  m.n_kv_heads = m.is("gemma3") ? 1 : m.is("gpt2") ? m.n_heads : 2;
  m.ffn_width = options.width % 256 == 0 ? 2 * options.width : options.width + 64;
  if (m.mixed()) m.ffn_width = options.width % 256 == 0 ? options.width : 64;
  m.sliding_window = m.is("gemma3") ? 8 : 0;
  Builder b(m);
  const uint64_t vocabulary = tiny_tokenizer().tokens.size();
  b.matrix("token_embd.weight", options.width, vocabulary, 2.5);
  if (m.is("gpt2")) b.matrix("position_embd.weight", options.width, m.context(), 1.5);
  if ((m.is("llama") || m.is("deci")) && options.rope_factors)
    b.vector("rope_freqs.weight", m.head_dim / 2, 2.0f, 0.5f);
  for (uint32_t l = 0; l < m.n_layers; ++l) add_layer(m, l, b);
  b.norm("output_norm.weight", options.width);
  if (m.is("gpt2")) b.vector("output_norm.bias", options.width, 0, 0.2f);
  if (m.is("llama") || m.is("qwen2moe")) b.matrix("output.weight", options.width, vocabulary, 2.5);
  return m;
}

Metadata tiny_metadata(const TinyModel& model) {
  Metadata metadata;
  metadata.set_string("general.architecture", model.gguf_architecture());
  metadata.set_string("general.name", "tiny " + model.options.architecture);
  set_hyper_parameters(model, metadata);
  set_tokenizer(model, metadata);
  return metadata;
}

}  // namespace enxuto
