// SF16: 32 values, of which 16 at most are not zero, in 36 bytes.  bitmap u32 | 16 f16
//   value = the f16 at its bit's place among those that are set (sparse_block.h)
// enxuto's own: nothing is lost of F16, and half of a matrix may be zeros for 9 bits a weight.
#include "codecs/sparse_block.h"

namespace enxuto {
namespace {

using sparse::kN, sparse::kRoom;
constexpr int kBytes = 36;

uint32_t present(const uint8_t* b) { return load_u32(b); }

void decode(const uint8_t* b, float* values, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    std::fill_n(values, kN, 0.0f);
    sparse::each_present(present(b), [&](int i, int k) { values[i] = load_f16(b + 4 + 2 * k); });
  }
}

void encode(const float* values, const float* importance, uint8_t* b, size_t n) {
  for (; n >= kN; n -= kN, b += kBytes, values += kN) {
    const sparse::Chosen chosen(values, importance);
    if (importance) importance += kN;
    store_u32(b, chosen.bitmap);
    for (int k = 0; k < kRoom; ++k) store_f16(b + 4 + 2 * k, chosen.x[k]);
  }
}

}  // namespace

const Codec kSF16 = {
    .type = Type::SF16,
    .name = "SF16",
    .block_values = kN,
    .block_bytes = kBytes,
    .decode = decode,
    .encode = encode,
    .present = present,
};

}  // namespace enxuto
