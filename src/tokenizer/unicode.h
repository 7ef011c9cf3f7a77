// What pre-tokenizers know of Unicode: text in which every character is one byte that tells its
// class, so that plain byte regexes work on it, by one pinned Unicode version (15.1, llama.cpp's).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace enxuto {

// The class bytes of characters beyond ASCII; ASCII stands for itself.
inline constexpr char kOtherClass = '\xD0', kNumberClass = '\xD1', kLetterClass = '\xD2',
                      kPunctuationClass = '\xD3', kMarkClass = '\xD4', kSymbolClass = '\xD5',
                      kSpaceClass = '\x0B';

// True where every character is encoded as llama.cpp would encode it: shortest form, at most
// U+10FFFF (surrogates are let through).
bool is_canonical_utf8(std::string_view text);
// The same text with overlong forms shortened, and every other wrong byte made U+FFFD.
std::string canonical_utf8(std::string_view text);
// One class byte per character; `text` must be canonical.
void class_bytes(std::string_view text, std::string& classes);

void append_utf8(uint32_t code_point, std::string& out);
// Bytes of the character that starts with this byte.
inline size_t utf8_length(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace enxuto
