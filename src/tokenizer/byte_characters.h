// The characters that stand for bytes in the texts of byte-level BPE: bytes that print stand for
// themselves, the others for the characters from U+0100 on.
#pragma once

#include <cstdint>
#include <string>

namespace enxuto {

struct ByteCharacters {
  ByteCharacters();
  std::string of_byte[256];  // UTF-8
  int16_t byte_of[512];      // by code point; -1: no byte's
};

const ByteCharacters& byte_characters();
// The place of a byte when bytes are ordered by the code points of their characters.
uint8_t byte_rank(uint8_t byte);

}  // namespace enxuto
