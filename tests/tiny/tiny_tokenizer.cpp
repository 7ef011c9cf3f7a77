#include "tests/tiny/tiny_model.h"

namespace enxuto {
namespace {

std::string utf8(uint32_t code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

// GPT-2's alphabet: printable bytes stand for themselves, the others for U+0100 and on.
std::vector<std::string> byte_alphabet() {
  std::vector<std::string> alphabet;
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) ||
                           (byte >= 0xae && byte <= 0xff);
    alphabet.push_back(utf8(printable ? byte : next++));
  }
  return alphabet;
}

TinyTokenizer make() {
  TinyTokenizer t;
  t.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  t.n_control = static_cast<uint32_t>(t.tokens.size());
  for (std::string& letter : byte_alphabet()) t.tokens.push_back(std::move(letter));
  const std::string space = utf8(0x120);
  const std::pair<std::string, std::string> merges[] = {
      {space, "t"}, {space, "a"},        {"h", "e"},   {"i", "n"},   {"r", "e"},         {"o", "n"},
      {"e", "r"},   {space + "t", "he"}, {"n", "d"},   {space, "s"}, {"a", "t"},         {"e", "s"},
      {space, "w"}, {space, "o"},        {"e", "n"},   {space, "c"}, {"i", "t"},         {"o", "r"},
      {"a", "n"},   {"e", "d"},          {space, "b"}, {space, "m"}, {space, "f"},       {"a", "l"},
      {"in", "g"},  {space, "p"},        {"o", "u"},   {"i", "s"},   {space + "a", "nd"}};
  for (const auto& [left, right] : merges) {
    t.merges.push_back(left + " " + right);
    t.tokens.push_back(left + right);
  }
  return t;
}

}  // namespace

const TinyTokenizer& tiny_tokenizer() {
  static const TinyTokenizer tokenizer = make();
  return tokenizer;
}

}  // namespace enxuto
