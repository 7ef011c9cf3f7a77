// make_tiny ARCHITECTURE TYPE OUT [biases] [no-factors]: writes a tiny random model, a llama or
// deci with biases where asked, a llama without factors of its rope. OUT.gguf is a file; else OUT
// is an existing folder, and TYPE is F32.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "tests/tiny/tiny_model.h"

int main(int argc, char** argv) {
  using namespace enxuto;
  const std::span<char*> more(argv + std::min(argc, 4), argv + argc);
  const auto has = [&](std::string_view word) {
    return std::ranges::find(more, word) != more.end();
  };
  const Codec* codec = argc >= 4 ? find_codec(std::string_view(argv[2])) : nullptr;
  if (!codec) {
    fmt::print(stderr,
               "make_tiny llama|qwen2|qwen3|gemma3|deci|gpt2|mixtral|qwen2moe|qwen3moe TYPE "
               "OUT.gguf|FOLDER [biases] [no-factors]\n");
    return 2;
  }
  const std::string out = argv[3];
  TinyOptions options = TinyOptions::of(argv[1], codec->type);
  const bool file = out.ends_with(".gguf");
  options.rope_factors = file && !has("no-factors");
  options.attention_bias = has("biases");
  const TinyModel model = tiny_model(options);
  const Status status =
      file ? write_tiny_gguf(model, codec->type, out) : write_tiny_folder(model, out);
  if (!status.ok()) fmt::print(stderr, "{}\n", status.what());
  return static_cast<int>(status.code());
}
