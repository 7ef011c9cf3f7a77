#include "tokenizer/byte_characters.h"

#include <algorithm>
#include <array>

#include "tokenizer/unicode.h"

namespace enxuto {
namespace {

bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

}  // namespace

ByteCharacters::ByteCharacters() {
  std::fill(std::begin(byte_of), std::end(byte_of), int16_t{-1});
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; byte++) {
    const uint32_t code_point = stands_for_itself(byte) ? byte : next++;
    append_utf8(code_point, of_byte[byte]);
    byte_of[code_point] = static_cast<int16_t>(byte);
  }
}

const ByteCharacters& byte_characters() {
  static const ByteCharacters characters;
  return characters;
}

uint8_t byte_rank(uint8_t byte) {
  static const std::array<uint8_t, 256> ranks = [] {
    std::array<uint8_t, 256> of_byte{};
    uint8_t next = 0;
    for (const int16_t present : byte_characters().byte_of)
      if (present >= 0) of_byte[static_cast<size_t>(present)] = next++;
    return of_byte;
  }();
  return ranks[byte];
}

}  // namespace enxuto
