// How codes lie in a block's bytes, where several formats lay them alike.
#pragma once

#include <cstdint>
#include <cstring>

namespace enxuto {

// Code i in the low nibble of byte i, code n_bytes + i in its high one.
inline void pack_nibbles(const uint8_t* codes, int n_bytes, uint8_t* bytes) {
  for (int i = 0; i < n_bytes; ++i)
    bytes[i] = static_cast<uint8_t>(codes[i] | codes[n_bytes + i] << 4);
}

// 32 codes of five bits: bit i of the first 4 bytes is the fifth of code i; 16 bytes of nibbles.
inline void pack_fives(const uint8_t* codes, uint8_t* bytes) {
  uint32_t fifth = 0;
  uint8_t nibbles[32];
  for (int i = 0; i < 32; ++i) {
    fifth |= static_cast<uint32_t>(codes[i] >> 4) << i;
    nibbles[i] = codes[i] & 15;
  }
  std::memcpy(bytes, &fifth, sizeof fifth);
  pack_nibbles(nibbles, 16, bytes + 4);
}

// The two low bits of 256 codes: those of code 128 h + 32 j + l in bits 2 j of byte 32 h + l.
inline void pack_quarters(const uint8_t* codes, uint8_t* bytes) {
  for (int h = 0; h < 2; ++h, codes += 128, bytes += 32)
    for (int l = 0; l < 32; ++l) {
      int packed = 0;
      for (int j = 0; j < 4; ++j) packed |= (codes[32 * j + l] & 3) << 2 * j;
      bytes[l] = static_cast<uint8_t>(packed);
    }
}

// Neighbours share a byte, the first in the low nibble.
inline void pack_nibble_pairs(const int* codes, int n_bytes, uint8_t* bytes) {
  for (int i = 0; i < n_bytes; ++i)
    bytes[i] = static_cast<uint8_t>(codes[2 * i] | codes[2 * i + 1] << 4);
}
inline void unpack_nibble_pairs(const uint8_t* bytes, int n_bytes, int* codes) {
  for (int i = 0; i < n_bytes; ++i) codes[2 * i] = bytes[i] & 15, codes[2 * i + 1] = bytes[i] >> 4;
}

// n_bits of the word at `bytes`, from `shift` on, take the value; the others stay.
template <class Word>
void put_bits(uint8_t* bytes, int shift, int n_bits, uint32_t value) {
  const uint32_t mask = ((1u << n_bits) - 1) << shift;
  Word word;
  std::memcpy(&word, bytes, sizeof word);
  word = static_cast<Word>((word & ~mask) | value << shift);
  std::memcpy(bytes, &word, sizeof word);
}

}  // namespace enxuto
