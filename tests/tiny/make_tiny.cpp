// make_tiny ARCHITECTURE TYPE OUT [biases]: writes a tiny random model, a llama or deci with biases
// where asked. OUT.gguf is a file; else OUT is an existing folder, and TYPE is F32.
#include <fmt/format.h>

#include "tests/tiny/tiny_model.h"

int main(int argc, char** argv) {
  using namespace enxuto;
  const bool biases = argc == 5 && std::string_view(argv[4]) == "biases";
  const Codec* codec = argc == 4 || biases ? find_codec(std::string_view(argv[2])) : nullptr;
  if (!codec) {
    fmt::print(stderr,
               "make_tiny llama|qwen2|qwen3|gemma3|deci|gpt2 TYPE OUT.gguf|FOLDER [biases]\n");
    return 2;
  }
  const std::string out = argv[3];
  TinyOptions options = TinyOptions::of(argv[1], codec->type);
  const bool file = out.ends_with(".gguf");
  options.rope_factors = file;
  options.attention_bias = biases;
  const TinyModel model = tiny_model(options);
  const Status status =
      file ? write_tiny_gguf(model, codec->type, out) : write_tiny_folder(model, out);
  if (!status.ok()) fmt::print(stderr, "{}\n", status.what());
  return static_cast<int>(status.code());
}
