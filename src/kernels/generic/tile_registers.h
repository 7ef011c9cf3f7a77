// Products by registers that hold a matrix each (AMX), R: sixteen rows of 64 bytes.
//   zero<i>(), load<i>(from, stride), store<i>(to, stride)   strides in bytes
//   add_products<c, a, b>()   c (16, 16) f32 += a (16 tokens, 32 columns) times b (16 pairs of
//                             columns, 16 rows of weights), bf16
#pragma once

#include <cstdint>

namespace enxuto::generic {

inline constexpr int64_t kRegisterTokens = 16;

// n columns (a multiple of 32) of a tile of 32 rows by 32 tokens at a time: add(sums, t) takes
// the 32 sums of token t. At least sixteen tokens: the last ones are multiplied with some before.
template <class R, class Tile, class Add>
void multiply_in_registers(const Tile& tile, int64_t n, const uint16_t* x, int64_t x_stride,
                           int64_t n_tokens, const Add& add) {
  constexpr int64_t kBlock = kRegisterTokens, kWidth = sizeof tile.pairs[0];
  static_assert(kWidth == 32 * 2 * sizeof(uint16_t));
  alignas(64) float sums[2][kBlock][32];
  const int64_t stride = x_stride * static_cast<int64_t>(sizeof *x);
  for (int64_t t = 0; t < n_tokens; t += 2 * kBlock) {
    const int64_t last = n_tokens - kBlock;
    const int64_t begin[2] = {t < last ? t : last, t + kBlock < last ? t + kBlock : last};
    R::template zero<0>(), R::template zero<1>(), R::template zero<2>(), R::template zero<3>();
    for (int64_t c = 0; c < n; c += 32) {
      R::template load<4>(x + begin[0] * x_stride + c, stride);
      R::template load<6>(tile.pairs[c / 2][0], kWidth);
      R::template load<7>(tile.pairs[c / 2][16], kWidth);
      R::template add_products<0, 4, 6>();
      R::template add_products<1, 4, 7>();
      R::template load<5>(x + begin[1] * x_stride + c, stride);
      R::template add_products<2, 5, 6>();
      R::template add_products<3, 5, 7>();
    }
    constexpr int64_t kSumsWidth = sizeof sums[0][0];
    R::template store<0>(&sums[0][0][0], kSumsWidth);
    R::template store<1>(&sums[0][0][16], kSumsWidth);
    R::template store<2>(&sums[1][0][0], kSumsWidth);
    R::template store<3>(&sums[1][0][16], kSumsWidth);
    for (int64_t block = 0; block < 2; ++block)
      for (int64_t i = t + block * kBlock - begin[block]; i < kBlock; ++i)
        add(sums[block][i], begin[block] + i);
  }
}

}  // namespace enxuto::generic
