// Vocabularies: any metadata makes a tokenizer or a kBadInput, and what it makes encodes and
// decodes. Cut to what a text has, it makes the same tokens of it.
//   input: family u8 | pre u8 | lists of lines: tokens, merges, types, one byte of a list each; 0
//   ends
#include <string>
#include <vector>

#include "fuzz.h"
#include "text_parts.h"
#include "tokenizer/smaller_vocabulary.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace enxuto {
namespace {

std::vector<std::string_view> lines(std::string_view& text) {
  std::string_view list = text.substr(0, text.find('\0'));
  text.remove_prefix(std::min(text.size(), list.size() + 1));
  std::vector<std::string_view> out;
  while (!list.empty()) {
    out.push_back(list.substr(0, list.find('\n')));
    list.remove_prefix(std::min(list.size(), out.back().size() + 1));
  }
  return out;
}

Metadata metadata_of(fuzz::Input& input) {
  constexpr const char* kPre[] = {"default", "smollm", "qwen2", "llama-bpe", "gpt-4o", "nonsense"};
  const uint8_t family = input.byte(), pre = input.byte();
  const std::string base = "tokenizer.ggml.";
  std::string_view text(reinterpret_cast<const char*>(input.rest().data()), input.rest().size());
  const auto tokens = lines(text), merges = lines(text);
  std::vector<int32_t> types;
  std::vector<float> scores;
  for (size_t i = 0; i < tokens.size() + (family >> 7); i++) {
    const uint8_t byte = i < text.size() ? static_cast<uint8_t>(text[i]) : 1;
    types.push_back(byte % 8);
    scores.push_back(byte == 255 ? 0.0f / 1.0f : -static_cast<float>(byte / 8));
  }
  Metadata metadata;
  metadata.set_string(base + "model", family & 1 ? "gpt2" : "llama");
  metadata.set_string(base + "pre", kPre[pre % std::size(kPre)]);
  metadata.set_strings(base + "tokens", tokens);
  metadata.set_strings(base + "merges", merges);
  if (family & 2) metadata.set_i32s(base + "token_type", types);
  if (family & 4) metadata.set_f32s(base + "scores", scores);
  if (family & 8) metadata.set_u32(base + "bos_token_id", pre);
  if (family & 16) metadata.set_bool(base + "add_bos_token", true);
  if (family & 32) metadata.set_bool(base + "add_space_prefix", false);
  return metadata;
}

bool names_all(const Vocabulary& vocabulary) {
  for (size_t i = 0; i < vocabulary.size(); i++)
    if (vocabulary.text(static_cast<Token>(i)).starts_with("[EMPTY_")) return false;
  return true;
}

void check_smaller(const Metadata& metadata, const Tokenizer& tokenizer, std::string_view text,
                   const std::vector<Token>& tokens) {
  const auto choice = choose_tokens(metadata, tokenizer, tokens, 0);
  if (tokens.empty()) return fuzz::require(!choice.ok(), "no text tells nothing");
  fuzz::require(choice.ok(), "a text tells what to keep");
  const auto smaller = keep_tokens(metadata, choice->kept);
  fuzz::require(smaller.ok(), "what was chosen can be kept");
  if (!names_all(tokenizer.vocabulary())) return;  // names told by ids are others now
  const auto cut = Tokenizer::create(*smaller);
  fuzz::require(cut.ok(), "a smaller vocabulary is one");
  std::vector<Token> again = (*cut)->encode(text, true, true);
  for (Token& token : again) token = choice->kept[token];
  fuzz::require(again == tokens, "the same tokens");
}

}  // namespace
}  // namespace enxuto

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace enxuto;
  fuzz::Input input(data, size);
  const Metadata metadata = metadata_of(input);
  const auto tokenizer = Tokenizer::create(metadata);
  if (!tokenizer.ok()) {
    fuzz::require(tokenizer.status().code() == Code::kBadInput, "a bad vocabulary is kBadInput");
    return 0;
  }
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tokens = (*tokenizer)->encode(text, true, true);
  for (const Token token : tokens)
    fuzz::require(token >= 0 && static_cast<size_t>(token) < (*tokenizer)->vocabulary_size(),
                  "ids are in range");
  (void)(*tokenizer)->decode(tokens, true);
  check_smaller(metadata, **tokenizer, text, tokens);
  fuzz::check_parts(**tokenizer, text);
  return 0;
}
