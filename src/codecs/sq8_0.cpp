// SQ8_0: 32 values, of which 16 at most are not zero, in 22 bytes.
//   d f16 | bitmap u32 | 16 signed bytes
//   value = d * code, the code at its bit's place among those that are set (sparse_block.h)
// enxuto's own.
#include "codecs/search.h"
#include "codecs/sparse_block.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-127, 127>;
using sparse::kN, sparse::kRoom;
constexpr int kBytes = 22, kCodesAt = 6;
constexpr int kZero = 127;  // the code of set_codes that is no value

uint32_t present(const uint8_t* b) { return load_u32(b + 2); }

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    std::fill_n(values, kN, 0.0f);
    sparse::each_present(present(b), [&](int i, int k) {
      values[i] = static_cast<float>(static_cast<int8_t>(b[kCodesAt + k])) * d;
    });
  }
}

constexpr BlockShape kShape = {255, kN, -kZero};

void set_codes(const uint8_t* codes, uint8_t* b) {
  uint32_t bitmap = 0;
  for (int i = 0; i < kN; ++i) bitmap |= uint32_t{codes[i] != kZero} << i;
  store_u32(b + 2, bitmap);
  std::fill_n(b + kCodesAt, kRoom, uint8_t{0});
  sparse::each_present(
      bitmap, [&](int i, int k) { b[kCodesAt + k] = static_cast<uint8_t>(codes[i] - kZero); });
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const sparse::Chosen chosen(values, importance);
    if (importance) importance += kN;
    search::Block<kRoom> block;
    uint8_t codes[kRoom];
    search::load_block(chosen.x, chosen.w, block);
    const float d = store_f16(b, search::best_stored_scale<Levels, kRoom, 3>(block, 0.93f, 1.01f));
    store_u32(b + 2, chosen.bitmap);
    search::codes_at<Levels, kRoom>(block.x, d, codes);
    for (int k = 0; k < kRoom; ++k) b[kCodesAt + k] = static_cast<uint8_t>(codes[k] - kZero);
  }
}

}  // namespace

const Codec kSQ8_0 = {
    .type = Type::SQ8_0,
    .name = "SQ8_0",
    .block_values = kN,
    .block_bytes = kBytes,
    .decode = decode,
    .encode = encode,
    .shape = &kShape,
    .scales = read_scale<0>,
    .set_scales = write_scale<0>,
    .set_codes = set_codes,
    .present = present,
};

}  // namespace enxuto
