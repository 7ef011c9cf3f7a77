// SQ8_0: 32 values, of which 16 at most are not zero, in 22 bytes.
//   d f16 | bitmap u32 | 16 signed bytes
//   value = d * code, the code at its bit's place among those that are set (sparse_block.h)
// enxuto's own.
#include "codecs/sparse_block.h"

namespace enxuto {
namespace {

using Levels = search::IntegerLevels<-127, 127>;
using sparse::kCodesAt, sparse::kN, sparse::kRoom;
constexpr int kBytes = 22;
constexpr int kZero = 127;  // the code of set_codes that is no value

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const float d = load_f16(b);
    std::fill_n(values, kN, 0.0f);
    sparse::each_present(sparse::present_codes(b), [&](int i, int k) {
      values[i] = static_cast<float>(static_cast<int8_t>(b[kCodesAt + k])) * d;
    });
  }
}

constexpr BlockShape kShape = {255, kN, -kZero};

void set_codes(const uint8_t* codes, uint8_t* b) {
  const uint32_t bitmap = sparse::set_present(codes, kZero, b);
  std::fill_n(b + kCodesAt, kRoom, uint8_t{0});
  sparse::each_present(
      bitmap, [&](int i, int k) { b[kCodesAt + k] = static_cast<uint8_t>(codes[i] - kZero); });
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  sparse::encode_codes<Levels, kBytes>(
      values, importance, b, n,
      [](const search::Block<kRoom>& block) {
        return search::best_stored_scale<Levels, kRoom, 3>(block, 0.93f, 1.01f);
      },
      [](const uint8_t* codes, uint8_t* bytes) {
        for (int k = 0; k < kRoom; ++k) bytes[k] = static_cast<uint8_t>(codes[k] - kZero);
      });
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
    .present = sparse::present_codes,
};

}  // namespace enxuto
