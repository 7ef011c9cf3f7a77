// Any template renders or is refused, in bounded time and memory; and whatever a user writes, a
// well-behaved template's control tokens are those it wrote itself.
//   input: template, 0, content
#include <algorithm>
#include <string>

#include "fuzz.h"
#include "tokenizer/chat.h"

namespace enxuto {
namespace {

Metadata vocabulary() {
  Metadata metadata;
  metadata.set_string("tokenizer.ggml.model", "llama");
  metadata.set_strings("tokenizer.ggml.tokens",
                       std::vector<std::string_view>{"<unk>", "<s>", "</s>", "<|im_start|>",
                                                     "<|im_end|>", "a", "<", "|", ">", "\n"});
  const int32_t types[] = {2, 3, 3, 3, 3, 1, 1, 1, 1, 1};
  metadata.set_i32s("tokenizer.ggml.token_type", types);
  return metadata;
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string source(bytes.substr(0, bytes.find('\0')));
  const std::string content(bytes.substr(std::min(size, source.size() + 1)));
  Metadata metadata = vocabulary();
  const auto tokenizer = std::move(Tokenizer::create(metadata)).value();
  for (const std::string& text :
       {source, std::string("<|im_start|>{{ messages[0].content | trim }}<|im_end|>")}) {
    metadata.set_string("tokenizer.chat_template", text);
    const auto chat = ChatTemplate::create(metadata);
    if (!chat.ok()) continue;
    const auto tokens = chat->encode(*tokenizer, {{"user", content}}, true);
    if (!tokens.ok() || text == source) continue;
    const auto count = [&](Token token) {
      return std::count(tokens->begin(), tokens->end(), token);
    };
    fuzz::require(count(3) == 1 && count(4) == 1 && count(2) == 0,
                  "control tokens are the template's own");
  }
  return 0;
}
