// The files that a tiny model may lie in.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/float16.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

constexpr size_t kBlock = 32, kSuperBlock = 256;

void put_scale(float scale, uint8_t* block) {
  const uint16_t half = f32_to_f16(scale);
  std::memcpy(block, &half, sizeof half);
}

// f16 scale, 32 codes.
void round_q8_0(const float* x, uint8_t* block) {
  float most = 0;
  for (size_t i = 0; i < kBlock; ++i) most = std::max(most, std::fabs(x[i]));
  const float scale = most / 127;
  put_scale(scale, block);
  for (size_t i = 0; i < kBlock; ++i)
    block[2 + i] =
        static_cast<uint8_t>(static_cast<int8_t>(scale > 0 ? std::lrint(x[i] / scale) : 0));
}

// f16 scale, 16 bytes of codes: the first half of the block in the low nibbles.
void round_q4_0(const float* x, uint8_t* block) {
  float extreme = 0;
  for (size_t i = 0; i < kBlock; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  const float scale = extreme / -8;
  put_scale(scale, block);
  const auto code = [&](size_t i) {
    return static_cast<uint8_t>(scale != 0 ? std::clamp<long>(std::lrint(x[i] / scale) + 8, 0, 15)
                                           : 8);
  };
  for (size_t i = 0; i < kBlock / 2; ++i)
    block[2 + i] = static_cast<uint8_t>(code(i) | code(i + kBlock / 2) << 4);
}

// One step for all 256 values; each of the 16 scales is 1, d is the step.
void round_q6_k(const float* x, uint8_t* block) {
  float most = 0;
  for (size_t i = 0; i < kSuperBlock; ++i) most = std::max(most, std::fabs(x[i]));
  const float step = most / 31;
  std::memset(block + 192, 1, 16);
  put_scale(step, block + 208);
  uint8_t codes[kSuperBlock];
  for (size_t i = 0; i < kSuperBlock; ++i)
    codes[i] = static_cast<uint8_t>(32 + (step > 0 ? std::lrint(x[i] / step) : 0));
  find_codec(Type::Q6_K)->set_codes(codes, block);
}

void (*plain_rounding(Type type))(const float*, uint8_t*) {
  switch (type) {
    case Type::Q8_0:
      return round_q8_0;
    case Type::Q4_0:
      return round_q4_0;
    case Type::Q6_K:
      return round_q6_k;
    default:
      return nullptr;
  }
}

std::vector<uint8_t> encode(const TinyTensor& tensor, Type type) {
  const Codec& codec = *find_codec(type);
  const auto round = plain_rounding(type);
  const size_t columns = tensor.shape[0], row_bytes = codec.row_bytes(columns);
  const size_t rows = tensor.values.size() / columns;
  std::vector<uint8_t> bytes(rows * row_bytes);
  for (size_t r = 0; r < rows; ++r) {
    const float* row = tensor.values.data() + r * columns;
    uint8_t* out = bytes.data() + r * row_bytes;
    if (!round) codec.encode(row, nullptr, out, columns);
    for (size_t i = 0; round && i < columns; i += codec.block_values, out += codec.block_bytes)
      round(row + i, out);
  }
  return bytes;
}

Type type_of(const TinyTensor& tensor, Type matrix_type) {
  const bool router = tensor.name.find("ffn_gate_inp") != std::string::npos;
  return tensor.shape.size() == 1 || router ? Type::F32 : matrix_type;
}

Status write_text(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  return out.flush() ? Status() : Status::failed("cannot write " + path);
}

struct Renaming {
  const char *gguf, *hugging_face;
};
constexpr Renaming kNames[] = {
    {"attn_norm", "input_layernorm"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm"},
    {"post_attention_norm", "post_attention_layernorm"},
    {"post_ffw_norm", "post_feedforward_layernorm"},
};

// "blk.2.attn_q.weight" -> "model.layers.2.self_attn.q_proj.weight"
std::string hugging_face_name(const TinyModel& model, const std::string& name) {
  if (model.is("gpt2")) return gpt2_name(name);
  if (name == "output.weight") return "lm_head.weight";
  const size_t dot = name.rfind('.');
  std::string stem = name.substr(0, dot), prefix = "model.";
  if (stem.starts_with("blk.")) {
    const size_t end = stem.find('.', 4);
    prefix += "layers." + stem.substr(4, end - 4) + ".";
    stem = stem.substr(end + 1);
  }
  if (stem == "ffn_norm")
    stem = model.is("gemma3") ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  else
    for (const Renaming& renaming : kNames)
      if (stem == renaming.gguf) {
        stem = renaming.hugging_face;
        break;
      }
  return prefix + stem + name.substr(dot);
}

// The values as Hugging Face has them: a llama's q and k with the rotated pairs half a head apart,
// their biases too; a gemma's norms less one; matrices of a gpt2's layers transposed.
std::vector<float> hugging_face_values(const TinyModel& model, const TinyTensor& tensor) {
  std::vector<float> values = tensor.values;
  const auto has = [&](const char* part) { return tensor.name.find(part) != std::string::npos; };
  if (model.is("gemma3") && has("norm"))
    for (float& value : values) value -= 1;
  if (model.is("gpt2") && is_transposed_gpt2(tensor))
    for (size_t i = 0, columns = tensor.shape[0], rows = tensor.shape[1]; i < values.size(); ++i)
      values[i % columns * rows + i / columns] = tensor.values[i];
  if (!model.is("llama") || !(has("attn_q.") || has("attn_k."))) return values;
  const size_t columns = tensor.shape.size() == 1 ? 1 : tensor.shape[0];
  const size_t dim = model.head_dim, half = dim / 2;
  for (size_t row = 0; row < values.size() / columns; ++row) {
    const size_t pair = row % dim / 2, member = row % 2, head = row / dim;
    std::copy_n(
        tensor.values.begin() + static_cast<ptrdiff_t>(row * columns), columns,
        values.begin() + static_cast<ptrdiff_t>((head * dim + member * half + pair) * columns));
  }
  return values;
}

Status write_safetensors(const TinyModel& model, const std::string& path) {
  nlohmann::ordered_json header;
  std::string data;
  for (const TinyTensor& tensor : model.tensors) {
    const std::vector<float> values = hugging_face_values(model, tensor);
    std::vector<uint64_t> shape(tensor.shape.rbegin(), tensor.shape.rend());
    if (model.is("gpt2") && is_transposed_gpt2(tensor)) std::swap(shape[0], shape[1]);
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    header[hugging_face_name(model, tensor.name)] = {
        {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string json = header.dump();
  json.resize((json.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  const uint64_t length = json.size();
  return write_text(path, std::string(reinterpret_cast<const char*>(&length), 8) + json + data);
}

std::string config_json(const TinyModel& m) {
  if (m.is("gpt2")) return gpt2_config_json(m);
  const char* class_name = m.is("llama")   ? "LlamaForCausalLM"
                           : m.is("qwen2") ? "Qwen2ForCausalLM"
                           : m.is("qwen3") ? "Qwen3ForCausalLM"
                                           : "Gemma3ForCausalLM";
  nlohmann::ordered_json c = {
      {"architectures", {class_name}},
      {"model_type", m.is("gemma3") ? "gemma3_text" : m.options.architecture},
      {"hidden_size", m.options.width},
      {"intermediate_size", m.ffn_width},
      {"num_hidden_layers", m.n_layers},
      {"num_attention_heads", m.n_heads},
      {"num_key_value_heads", m.n_kv_heads},
      {"head_dim", m.head_dim},
      {"rms_norm_eps", 1e-6},
      {"rope_theta", m.is("llama") ? 10000.0 : 1000000.0},
      {"vocab_size", tiny_tokenizer().tokens.size()},
      {"max_position_embeddings", 1024},
      {"tie_word_embeddings", !m.is("llama")},
      {"attention_bias", m.options.attention_bias},
      {"bos_token_id", 0},
      {"eos_token_id", 2},
      {"torch_dtype", "float32"}};
  c["hidden_act"] = m.is("gemma3") ? "gelu_pytorch_tanh" : "silu";
  if (m.is("gemma3")) {
    c["sliding_window"] = m.sliding_window;
    c["sliding_window_pattern"] = 6;
    c["rope_local_base_freq"] = 10000.0;
    c["query_pre_attn_scalar"] = m.head_dim;
    c["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  }
  return c.dump(2);
}

std::string tokenizer_json() {
  const TinyTokenizer& t = tiny_tokenizer();
  nlohmann::ordered_json model = {{"type", "BPE"}}, added = nlohmann::ordered_json::array();
  for (size_t i = 0; i < t.tokens.size(); ++i) {
    if (i < t.n_control)
      added.push_back(
          {{"id", i}, {"content", t.tokens[i]}, {"special", true}, {"normalized", false}});
    model["vocab"][t.tokens[i]] = i;
  }
  model["merges"] = t.merges;
  const nlohmann::ordered_json pre_tokenizer = {{"type", "ByteLevel"},
                                                {"add_prefix_space", false},
                                                {"trim_offsets", true},
                                                {"use_regex", true}};
  const nlohmann::ordered_json file = {{"version", "1.0"},
                                       {"added_tokens", added},
                                       {"normalizer", nullptr},
                                       {"pre_tokenizer", pre_tokenizer},
                                       {"model", model}};
  return file.dump();
}

}  // namespace

Status write_tiny_gguf(const TinyModel& model, Type type, const std::string& path) {
  return write_tiny_gguf(model, tiny_metadata(model), type, path);
}

Status write_tiny_gguf(const TinyModel& model, const Metadata& metadata, Type type,
                       const std::string& path) {
  ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(path, true));
  GgufWriter writer(out, metadata);
  for (const TinyTensor& tensor : model.tensors)
    TRY(writer.add(tensor.name, type_of(tensor, type), tensor.shape));
  TRY(writer.begin());
  for (const TinyTensor& tensor : model.tensors)
    TRY(writer.write(encode(tensor, type_of(tensor, type))));
  TRY(writer.finish());
  return out.commit();
}

Status write_tiny_folder(const TinyModel& model, const std::string& folder) {
  TRY(write_safetensors(model, folder + "/model.safetensors"));
  TRY(write_text(folder + "/config.json", config_json(model)));
  const nlohmann::json tokenizer_config = {
      {"bos_token", "<|endoftext|>"},
      {"eos_token", "<|im_end|>"},
      {"add_bos_token", model.options.add_bos},
      {"chat_template", *tiny_metadata(model).string_at("tokenizer.chat_template")}};
  TRY(write_text(folder + "/tokenizer_config.json", tokenizer_config.dump(2)));
  return write_text(folder + "/tokenizer.json", tokenizer_json());
}

}  // namespace enxuto
