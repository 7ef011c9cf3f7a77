#include "tokenizer/text_cuts.h"

#include <algorithm>

#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary.h"

namespace enxuto {
namespace {

enum class Kind { kLetter, kNumber, kSpace, kPunctuation, kOther };

Kind kind_of(char class_byte) {
  const auto in = [class_byte](char first, char last) {
    return class_byte >= first && class_byte <= last;
  };
  if (class_byte == kLetterClass || in('a', 'z') || in('A', 'Z')) return Kind::kLetter;
  if (class_byte == kNumberClass || in('0', '9')) return Kind::kNumber;
  if (class_byte == ' ' || in('\t', '\r')) return Kind::kSpace;
  return class_byte == kPunctuationClass ? Kind::kPunctuation : Kind::kOther;
}

bool is_inner_byte(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

// The kind of the character that starts at, or that ends before, a place; kOther where there is
// none that is whole and in its shortest form.
Kind kind_at(std::string_view text, size_t at) {
  if (at >= text.size()) return Kind::kOther;
  const std::string_view character = text.substr(at, utf8_length(text[at]));
  if (is_inner_byte(text[at]) || !is_canonical_utf8(character)) return Kind::kOther;
  std::string classes;
  class_bytes(character, classes);
  return kind_of(classes[0]);
}
Kind kind_before(std::string_view text, size_t at) {
  size_t start = at;
  while (start > 0 && at - start < 4 && is_inner_byte(text[--start])) continue;
  return start < at && start + utf8_length(text[start]) == at ? kind_at(text, start) : Kind::kOther;
}

// What is sure to be no white space to the tokenizer, which mends malformed characters.
bool ends_in_ink(std::string_view text) {
  const Kind kind = kind_before(text, text.size());
  return kind != Kind::kSpace && (kind != Kind::kOther || static_cast<uint8_t>(text.back()) < 0x80);
}

bool is_word(Kind kind) { return kind == Kind::kLetter || kind == Kind::kNumber; }

// SentencePiece takes as many bytes for a character as its first byte says, malformed or not.
bool inside_character(std::string_view text, size_t at) {
  for (size_t back = 1; back <= std::min<size_t>(at, 3); back++)
    if (utf8_length(text[at - back]) > back) return true;
  return false;
}

// Whether a piece of any pre-tokenizer begins here, and none before it looks further.
bool begins_piece(std::string_view text, size_t at) {
  if (text[at - 1] == '\n')
    return at > 1 && is_word(kind_at(text, at)) && ends_in_ink(text.substr(0, at - 1));
  if (text[at] == ' ')
    return is_word(kind_before(text, at)) && kind_at(text, at + 1) == Kind::kLetter;
  return !is_inner_byte(text[at]) && static_cast<uint8_t>(text[at]) >= 0x80 &&
         kind_before(text, at) == Kind::kLetter && kind_at(text, at) == Kind::kPunctuation;
}

}  // namespace

TextCuts::TextCuts(const Tokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const Metadata& metadata = tokenizer.metadata();
  const bool sentencepiece = metadata.string_at("tokenizer.ggml.model") == "llama";
  const bool spaces =
      sentencepiece && metadata.bool_at("tokenizer.ggml.add_space_prefix").value_or(true);
  for (size_t i = 0; i < vocabulary.size(); i++) {
    const auto token = static_cast<Token>(i);
    const bool verbatim = vocabulary.kind(token) == TokenKind::UserDefined;
    if (!verbatim && !sentencepiece) continue;
    const std::string text = vocabulary.text(token);
    add_token(text);
    if (verbatim && (spaces || text.back() != '\n')) apart_.set(static_cast<uint8_t>(text.back()));
  }
}

// U+2581 in a token is a space in a text.
void TextCuts::add_token(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); i++) {
    const bool space = text.substr(i).starts_with("\xE2\x96\x81");
    plain += space ? ' ' : text[i];
    i += space ? 2 : 0;
  }
  for (const std::string_view form : {text, std::string_view(plain)})
    for (size_t i = 1; i < form.size(); i++)
      joined_[static_cast<uint8_t>(form[i - 1])].set(static_cast<uint8_t>(form[i]));
}

size_t TextCuts::last(std::string_view text) const {
  for (size_t at = text.size(); at-- > 1;)
    if (begins_piece(text, at) && !crossed(text[at - 1], text[at]) && !inside_character(text, at))
      return at;
  return 0;
}

}  // namespace enxuto
