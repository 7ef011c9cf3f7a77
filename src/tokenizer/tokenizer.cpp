// Chooses the family of a file's tokenizer, and holds what families share.
#include "tokenizer/tokenizer.h"

#include <algorithm>

#include "tokenizer/base_tokenizer.h"

namespace enxuto {
namespace {

// Texts beyond this are cut, so that 32 bits count everything inside a part.
constexpr size_t kMaxPart = size_t{1} << 30;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// "<0x0A>" is one byte.
std::string piece_of_byte(std::string_view text) {
  if (text.size() < 5) return {};
  const int high = hex_digit(text[3]), low = hex_digit(text[4]);
  if (high < 0 || low < 0) return {};
  return std::string(1, static_cast<char>(high * 16 + low));
}

// Phi-3's special tokens swallow the white space after them; nothing else in the file says so.
bool is_phi3(const Metadata& metadata) {
  std::string name(metadata.string_at("general.name").value_or(""));
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return name.find("phi-3") != std::string::npos || name.find("phi3") != std::string::npos;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(const Metadata& metadata) {
  const auto family = metadata.string_at("tokenizer.ggml.model");
  if (!family)
    return Status::bad_input("the file has no tokenizer (tokenizer.ggml.model)",
                             "use a model file that has one");
  if (*family == "gpt2") return create_bpe(metadata);
  if (*family == "llama") return create_spm(metadata);
  return Status::bad_input("unknown tokenizer '" + std::string(family->substr(0, 64)) + "'",
                           "this version knows gpt2 and llama");
}

std::string Tokenizer::decode(const std::vector<Token>& tokens, bool special) const {
  std::string text;
  for (const Token token : tokens) text += piece(token, special);
  if (!prefixes_space() || tokens.empty()) return text;
  const size_t first = tokens[0] == bos() ? 1 : 0;
  const size_t at = first == 1 ? piece(bos(), special).size() : 0;
  if (first < tokens.size() && piece(tokens[first], special).starts_with(' ')) text.erase(at, 1);
  return text;
}

BaseTokenizer::BaseTokenizer(const Metadata& metadata, Vocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)),
      splitter_(vocabulary_, is_phi3(metadata)),
      metadata_(metadata) {}

std::vector<Token> BaseTokenizer::encode_guarded(std::string_view text, bool add_special,
                                                 bool parse_special,
                                                 std::span<const size_t> guarded) const {
  std::vector<Token> tokens;
  tokens.reserve(text.size() / 4 + 2);
  if (add_special && vocabulary_.add_bos) tokens.push_back(vocabulary_.bos);
  encode_fragments(text, true, parse_special, guarded, tokens);
  if (add_special && vocabulary_.add_eos) tokens.push_back(vocabulary_.eos);
  return tokens;
}

void BaseTokenizer::encode_part(std::string_view text, bool first, std::vector<Token>& out) const {
  encode_fragments(text, first, false, {}, out);
}

void BaseTokenizer::encode_fragments(std::string_view text, bool first, bool parse_special,
                                     std::span<const size_t> guarded,
                                     std::vector<Token>& out) const {
  bool after_special = first;
  for (Fragment fragment : splitter_.split(text, parse_special, guarded)) {
    if (fragment.token >= 0) {
      out.push_back(fragment.token);
      after_special = true;
      continue;
    }
    while (!fragment.text.empty()) {
      const std::string_view part = fragment.text.substr(0, kMaxPart);
      encode_text(part, after_special, out);
      fragment.text.remove_prefix(part.size());
      after_special = false;
    }
  }
}

std::string BaseTokenizer::piece(Token token, bool special) const {
  if (!vocabulary_.contains(token)) return {};
  switch (vocabulary_.kind(token)) {
    case TokenKind::Unknown:
    case TokenKind::Control:
      return special ? vocabulary_.text(token) : std::string();
    case TokenKind::UserDefined:
      return vocabulary_.text(token);
    case TokenKind::Normal:
      return piece_of_text(vocabulary_.text(token));
    case TokenKind::Byte:
      return piece_of_byte(vocabulary_.text(token));
    default:
      return {};
  }
}

}  // namespace enxuto
