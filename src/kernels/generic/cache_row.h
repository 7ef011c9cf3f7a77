// Rows of the KV cache: floats to F16 or to blocks of 32, fast enough for each token of each layer,
// and the rotation that spreads outliers before they are rounded.
#pragma once

#include "kernels/generic/elementwise.h"

namespace enxuto::generic {

template <class V>
void store_scale(uint8_t* block, float scale) {
  uint16_t halves[8];
  V::store_f16(halves, V::all(scale));
  __builtin_memcpy(block, halves, sizeof halves[0]);
}

template <class V>
void encode_f16(const float* x, int64_t n, uint8_t* y) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) V::store_f16(y + 2 * i, V::load(x + i));
  if (i == n) return;
  uint16_t last[8];
  V::store_f16(last, load_some<V>(x + i, n - i, 0));
  __builtin_memcpy(y + 2 * i, last, static_cast<size_t>(n - i) * sizeof last[0]);
}

// 32 values as vectors.
template <class V>
struct CacheBlock {
  typename V::Floats a[4];

  explicit CacheBlock(const float* x) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) a[i] = V::load(x + 8 * i);
  }
  float largest_or_nan() const {
    return V::largest_or_nan(
        V::maximum_or_nan(V::maximum_or_nan(V::absolute(a[0]), V::absolute(a[1])),
                          V::maximum_or_nan(V::absolute(a[2]), V::absolute(a[3]))));
  }
  float largest() const {
    return V::largest(V::maximum(V::maximum(a[0], a[1]), V::maximum(a[2], a[3])));
  }
  auto levels(int i, typename V::Floats inverse, float least, float most) const {
    return V::minimum(V::all(most),
                      V::maximum(V::all(least), V::round(V::multiply(a[i], inverse))));
  }
  void store_codes(float inverse, float least, float most, float shift, uint8_t* codes) const {
    typename V::Ints c[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      c[i] = V::round_to_ints(V::add(levels(i, V::all(inverse), least, most), V::all(shift)));
    V::store_bytes(codes, V::pack_ints(c[0], c[1], c[2], c[3]));
  }
};

// The grids that are tried: the value of largest magnitude lies at level -first, -(first + step), …
struct Grids {
  float least, most;  // levels
  float first, step;
  int n;
};
inline constexpr Grids kQ8_0Grids = {-127, 127, 121, 0.5f, 13};
inline constexpr Grids kQ4_0Grids = {-8, 7, 6.8f, 0.2f, 12};

// The scale that leaves the least squared error: of a few grids, each with its least-squares scale.
// inverse: what makes levels of the values.
template <class V>
float search_scale(const CacheBlock<V>& block, const Grids& grids, float& inverse) {
  const float most = block.largest();
  const float magnitude = block.largest_or_nan();
  const float outlier = most == magnitude ? most : -magnitude;
  float best = 0, scale = magnitude;
  inverse = 0;
  for (int grid = 0; grid < grids.n; ++grid) {
    const float candidate = -(grids.first + grids.step * static_cast<float>(grid)) / outlier;
    auto products = V::zero(), squares = V::zero();
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const auto level = block.levels(i, V::all(candidate), grids.least, grids.most);
      products = V::fma(block.a[i], level, products);
      squares = V::fma(level, level, squares);
    }
    const float product = V::sum(products), square = V::sum(squares);
    if (product * product > best * square)
      best = product * product / square, scale = product / square, inverse = candidate;
  }
  return scale;
}

// The scale as the block keeps it, and the codes: levels + shift.
template <class V>
void encode_block(const CacheBlock<V>& block, const Grids& grids, float shift, uint8_t* scale_at,
                  uint8_t* codes) {
  float inverse = 0, scale = block.largest_or_nan();
  if (scale > kSmallestActivation && scale < __builtin_inff())
    scale = search_scale<V>(block, grids, inverse);
  store_scale<V>(scale_at, scale);
  block.store_codes(inverse, grids.least, grids.most, shift, codes);
}

template <class V>
void encode_q8_0(const float* x, uint8_t* y) {
  encode_block<V>(CacheBlock<V>(x), kQ8_0Grids, 0, y, y + 2);
}

template <class V>
void encode_q4_0(const float* x, uint8_t* y) {
  uint8_t codes[32];
  encode_block<V>(CacheBlock<V>(x), kQ4_0Grids, 8, y, codes);
  for (int i = 0; i < 16; ++i) y[2 + i] = static_cast<uint8_t>(codes[i] | codes[16 + i] << 4);
}

template <class V>
void encode_row(Type type, const float* x, int64_t n, uint8_t* y) {
  if (type == Type::F16) return encode_f16<V>(x, n, y);
  const bool q8 = type == Type::Q8_0;
  for (int64_t i = 0; i < n; i += 32, y += q8 ? 34 : 18)
    (q8 ? encode_q8_0<V> : encode_q4_0<V>)(x + i, y);
}

// Sums and differences of eight vectors: the Hadamard matrix of order eight, across them.
template <class V>
void butterfly(typename V::Floats (&a)[8]) {
#pragma GCC unroll 3
  for (int step = 1; step < 8; step *= 2)
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
      if (!(i & step)) {
        const auto sum = V::add(a[i], a[i + step]);
        a[i + step] = V::subtract(a[i], a[i + step]);
        a[i] = sum;
      }
}

// 64 values, 8 x 8: across the vectors, then along them; scaled.
template <class V>
void rotate_64(float* x, float scale) {
  typename V::Floats a[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) a[i] = V::multiply(V::load(x + 8 * i), V::all(scale));
  butterfly<V>(a);
  V::transpose(a);
  butterfly<V>(a);
  V::transpose(a);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) V::store(x + 8 * i, a[i]);
}

template <class V>
void rotate_piece(float* x, int64_t n) {
  const float scale = 1 / V::square_root(static_cast<float>(n));
  int64_t step = 1;
  if (n >= 64) {
    for (int64_t i = 0; i < n; i += 64) rotate_64<V>(x + i, scale);
    step = 64;
  } else {
    for (int64_t i = 0; i < n; ++i) x[i] *= scale;
  }
  for (; step < n; step *= 2)
    for (int64_t i = 0; i < n; i += 2 * step)
      for (int64_t j = i; j < i + step; ++j) {
        const float a = x[j], b = x[j + step];
        x[j] = a + b, x[j + step] = a - b;
      }
}

template <class V>
void rotate(float* x, int64_t n) {
  const int64_t piece = n & -n;
  for (int64_t i = 0; i < n; i += piece) rotate_piece<V>(x + i, piece);
}

}  // namespace enxuto::generic
