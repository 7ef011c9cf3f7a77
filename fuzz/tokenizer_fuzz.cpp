// Any bytes encode with a byte-complete vocabulary, and valid text comes back as it was.
//   input: pre-tokenizer u8 | text
#include <string>
#include <vector>

#include "fuzz.h"
#include "text_parts.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace enxuto {
namespace {

constexpr const char* kPre[] = {"default", "gpt-2", "smollm", "qwen2",
                                "qwen35",  "glm4",  "gpt-4o", "tekken"};

Metadata byte_vocabulary(const char* pre) {
  std::vector<std::string> tokens;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; byte++) {
    const bool itself = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    append_utf8(itself ? byte : next++, tokens.emplace_back());
  }
  for (const char* text : {"aa", "aaa", "ab", "bab", "11", "\xC4\xA0\xC4\xA0", "<s>", "<st>"})
    tokens.emplace_back(text);
  std::vector<int32_t> types(tokens.size(), 1);
  types[tokens.size() - 1] = types[tokens.size() - 2] = 3;
  Metadata metadata;
  metadata.set_string("tokenizer.ggml.model", "gpt2");
  metadata.set_string("tokenizer.ggml.pre", pre);
  metadata.set_strings("tokenizer.ggml.tokens", {tokens.begin(), tokens.end()});
  metadata.set_strings(
      "tokenizer.ggml.merges",
      std::vector<std::string_view>{"a a", "aa a", "a b", "b ab", "1 1", "\xC4\xA0 \xC4\xA0"});
  metadata.set_i32s("tokenizer.ggml.token_type", types);
  return metadata;
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  static std::vector<Metadata> vocabularies;
  static std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  if (tokenizers.empty()) {
    for (const char* pre : kPre) vocabularies.push_back(byte_vocabulary(pre));
    for (const Metadata& metadata : vocabularies)
      tokenizers.push_back(std::move(Tokenizer::create(metadata)).value());
  }
  fuzz::Input input(data, size);
  const Tokenizer& tokenizer = *tokenizers[input.byte() % tokenizers.size()];
  const std::string text(input.rest().begin(), input.rest().end());
  const std::string whole = tokenizer.decode(tokenizer.encode(text, false, false), true);
  fuzz::require(whole == (is_canonical_utf8(text) ? text : canonical_utf8(text)),
                "plain text comes back");
  fuzz::check_parts(tokenizer, text);
  const std::vector<size_t> guarded = {size / 2};
  (void)tokenizer.encode_guarded(text, true, true, guarded);
  return 0;
}
