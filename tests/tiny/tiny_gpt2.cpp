// What a Hugging Face folder of a gpt2 has that no other has.
#include <map>
#include <nlohmann/json.hpp>

#include "tests/tiny/tiny_model.h"

namespace enxuto {

// "blk.2.attn_qkv.bias" -> "transformer.h.2.attn.c_attn.bias"
std::string gpt2_name(const std::string& name) {
  static const std::map<std::string, std::string> names = {
      {"token_embd", "wte"}, {"position_embd", "wpe"},    {"output_norm", "ln_f"},
      {"attn_norm", "ln_1"}, {"attn_qkv", "attn.c_attn"}, {"attn_output", "attn.c_proj"},
      {"ffn_norm", "ln_2"},  {"ffn_up", "mlp.c_fc"},      {"ffn_down", "mlp.c_proj"}};
  const size_t dot = name.rfind('.');
  std::string stem = name.substr(0, dot), prefix = "transformer.";
  if (stem.starts_with("blk.")) {
    const size_t end = stem.find('.', 4);
    prefix += "h." + stem.substr(4, end - 4) + ".";
    stem = stem.substr(end + 1);
  }
  return prefix + names.at(stem) + name.substr(dot);
}

bool is_transposed_gpt2(const TinyTensor& tensor) {
  return tensor.name.starts_with("blk.") && tensor.shape.size() > 1;
}

std::string gpt2_config_json(const TinyModel& m) {
  const nlohmann::ordered_json config = {{"architectures", {"GPT2LMHeadModel"}},
                                         {"model_type", "gpt2"},
                                         {"activation_function", "gelu_new"},
                                         {"n_embd", m.options.width},
                                         {"n_inner", m.ffn_width},
                                         {"n_layer", m.n_layers},
                                         {"n_head", m.n_heads},
                                         {"n_positions", m.context()},
                                         {"layer_norm_epsilon", 1e-5},
                                         {"vocab_size", tiny_tokenizer().tokens.size()},
                                         {"bos_token_id", 0},
                                         {"eos_token_id", 2}};
  return config.dump(2);
}

}  // namespace enxuto
