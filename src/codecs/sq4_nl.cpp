// SQ4_NL: 32 values, of which 16 at most are not zero, in 14 bytes.
//   d f16 | bitmap u32 | 8 bytes: stored value k in the low nibble of byte k, k + 8 in the high one
//   value = d * kIq4Levels[code], the code at its bit's place among those that are set
//   (sparse_block.h)
// enxuto's own. None of the sixteen levels is zero: the bitmap has those.
#include "codecs/levels16.h"
#include "codecs/packing.h"
#include "codecs/sparse_block.h"

namespace enxuto {
namespace {

using Levels = search::TableLevels<kIq4Levels>;
using sparse::kCodesAt, sparse::kN, sparse::kRoom;
constexpr int kBytes = 14;

// The levels with the zero between them, as set_codes counts: codes above it are one less in the
// file.
constexpr int kZero = 8;
struct LevelsAndZero {
  float of[17];
  constexpr LevelsAndZero() : of{} {
    for (int i = 0; i < 17; ++i) of[i] = i == kZero ? 0 : kIq4Levels[i < kZero ? i : i - 1];
  }
};
constexpr LevelsAndZero kLevels;

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    std::fill_n(values, kN, 0.0f);
    sparse::each_present(sparse::present_codes(b), [&](int i, int k) {
      const uint8_t pair = b[kCodesAt + k % 8];
      values[i] = d * kIq4Levels[k < 8 ? pair & 15 : pair >> 4];
    });
  }
}

constexpr BlockShape kShape = {17, kN, 0, kLevels.of};

void set_codes(const uint8_t* codes, uint8_t* b) {
  uint8_t packed[kRoom] = {};
  sparse::each_present(sparse::set_present(codes, kZero, b), [&](int i, int k) {
    packed[k] = static_cast<uint8_t>(codes[i] < kZero ? codes[i] : codes[i] - 1);
  });
  pack_nibbles(packed, 8, b + kCodesAt);
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  sparse::encode_codes<Levels, kBytes>(
      values, importance, b, n,
      [](const search::Block<kRoom>& block) {
        return search::best_stored_scale<Levels, kRoom, 2, 2>(block, 0.70f, 1.3f);
      },
      [](const uint8_t* codes, uint8_t* bytes) { pack_nibbles(codes, 8, bytes); });
}

}  // namespace

const Codec kSQ4_NL = {
    .type = Type::SQ4_NL,
    .name = "SQ4_NL",
    .block_values = kN,
    .block_bytes = kBytes,
    .decode = decode,
    .encode = encode,
    .shape = &kShape,
    .scales = read_scale<0>,
    .set_scales = write_scale<0>,
    .set_codes = set_codes,
    .present = sparse::present_codes,
};

}  // namespace enxuto
