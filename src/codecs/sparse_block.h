// Blocks that hold some of their values only: a bitmap of 32 bits, bit i for value i, and room for
// 16 values in the order of their bits. Where an untrusted bitmap has more bits than there is room,
// those beyond the sixteenth are zeros.
#pragma once

#include <algorithm>

#include "codecs/registry.h"
#include "codecs/search.h"

namespace enxuto::sparse {

inline constexpr int kN = 32, kRoom = 16;

// body(i, k): value i is the k-th stored one.
template <class Body>
void each_present(uint32_t bitmap, const Body& body) {
  for (int k = 0; bitmap != 0 && k < kRoom; ++k, bitmap &= bitmap - 1)
    body(__builtin_ctz(bitmap), k);
}

// The values that a block will hold: those that are not zero, and where these are too many those
// that count most. What is beyond `n` weighs nothing.
struct Chosen {
  uint32_t bitmap = 0;
  float x[kRoom] = {}, w[kRoom] = {};

  Chosen(const float* values, const float* importance) {
    double scores[kN];
    uint8_t places[kN];
    int n = 0;
    for (int i = 0; i < kN; ++i) {
      const double value = values[i], weight = importance ? importance[i] : 1;
      scores[i] = value == value ? weight * value * value : -1;
      if (values[i] != 0) places[n++] = static_cast<uint8_t>(i);
    }
    if (n > kRoom)
      std::nth_element(places, places + kRoom - 1, places + n, [&](uint8_t a, uint8_t b) {
        return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
      });
    for (int k = 0; k < std::min(n, kRoom); ++k) bitmap |= uint32_t{1} << places[k];
    each_present(bitmap, [&](int i, int k) {
      x[k] = values[i];
      w[k] = importance ? importance[i] : 1;
    });
  }
};

// ---- Blocks of codes: d f16 | bitmap u32 | codes of the stored values

inline constexpr int kBitmapAt = 2, kCodesAt = 6;

inline uint32_t present_codes(const uint8_t* b) { return load_u32(b + kBitmapAt); }

// From 32 codes, of which `zero` is no value: sets the bitmap, and returns it.
inline uint32_t set_present(const uint8_t* codes, uint8_t zero, uint8_t* b) {
  uint32_t bitmap = 0;
  for (int i = 0; i < kN; ++i) bitmap |= uint32_t{codes[i] != zero} << i;
  store_u32(b + kBitmapAt, bitmap);
  return bitmap;
}

// find_scale(block): the best scale for the values that are stored; pack(codes, bytes).
template <class Levels, int kBytes, class FindScale, class Pack>
void encode_codes(const float* values, const float* importance, uint8_t* b, size_t n,
                  const FindScale& find_scale, const Pack& pack) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const Chosen chosen(values, importance);
    if (importance) importance += kN;
    search::Block<kRoom> block;
    uint8_t codes[kRoom];
    search::load_block(chosen.x, chosen.w, block);
    const float d = store_f16(b, find_scale(block));
    store_u32(b + kBitmapAt, chosen.bitmap);
    search::codes_at<Levels, kRoom>(block.x, d, codes);
    pack(codes, b + kCodesAt);
  }
}

}  // namespace enxuto::sparse
