// One token, or few: weights are read once, in file order.
#pragma once

#include "kernels/generic/formats.h"
#include "kernels/kernels.h"

namespace enxuto::generic {

// How far ahead of its use a weight is asked for.
inline constexpr int64_t kAhead = 4096;

// Whether a format's blocks can be taken two at a time.
template <class V, class F>
concept InTwos = requires(const uint8_t* b) { F::two(b, b); };

// Whether a format keeps signs apart.
template <class F>
concept SignsApart = requires(const uint8_t* b) { F::template apart<0>(b); };

// Group g of a block with the codes x.
template <class V, class F, int g>
[[gnu::always_inline]] inline typename V::Ints dot_group(const uint8_t* b, typename V::Bytes x,
                                                         typename V::Ints bias) {
  if constexpr (SignsApart<F>) {
    const auto weights = F::template apart<g>(b);
    return V::template dot<0, false>(weights.magnitudes, V::negate_where(x, weights.signs),
                                     V::zero_ints());
  } else {
    return V::template dot<F::kBias, F::kSigned>(F::template codes<g>(b), x, bias);
  }
}

// What kRows rows have added up, in lanes; offsets only where a format has minima.
template <class V, int kRows>
struct RowSums {
  typename V::Floats sum[kRows], offset[kRows];
};

// Two blocks of each row, from w on.
template <class V, class F, int kRows>
inline void add_two_blocks(const uint8_t* w, uint64_t row_bytes, const int8_t* codes,
                           const float* scales, const float* sums, RowSums<V, kRows>& total) {
  const auto x0 = V::first_halves(V::load_bytes(codes), V::load_bytes(codes + 32));
  const auto x1 = V::second_halves(V::load_bytes(codes), V::load_bytes(codes + 32));
  const auto x_scale = V::broadcast_two(scales);
  const auto bias = V::template bias<F::kBias, F::kSigned>(x0, x1);
  [[maybe_unused]] typename V::Floats x_sums;
  if constexpr (F::kMin) x_sums = V::at_minima(sums[0] + sums[1], sums[2] + sums[3]);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    const uint8_t *a = w + static_cast<uint64_t>(r) * row_bytes, *b = a + F::kBytes;
    V::prefetch(a + kAhead);
    const Halves<V> half = F::two(a, b);
    typename V::Floats scale;
    if constexpr (F::kMin) {
      typename V::Floats all;
      V::broadcast_two_f16_pairs(a, b, scale, all);
      total.offset[r] = V::fma(all, x_sums, total.offset[r]);
    } else {
      scale = F::two_scales(a, b);
    }
    const auto dot =
        V::template dot<F::kBias, F::kSigned, F::kMax>(half.first, half.second, x0, x1, bias);
    total.sum[r] = V::fma(V::to_floats(dot), V::multiply(scale, x_scale), total.sum[r]);
  }
}

template <class V, class F, int kRows>
void dot_plain_rows(const uint8_t* w, uint64_t row_bytes, int64_t columns, const PreparedRow& x,
                    float* y) {
  using Floats = typename V::Floats;
  RowSums<V, kRows> total;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) total.sum[r] = total.offset[r] = V::zero();
  const int8_t* codes = x.codes;
  const float* scales = x.scales;
  const float* sums = x.sums;
  const uint8_t* end = w + columns / F::kValues * F::kBytes;
  if constexpr (InTwos<V, F>) {
    for (; end - w >= 2 * F::kBytes; w += 2 * F::kBytes, codes += 64, scales += 2, sums += 4)
      add_two_blocks<V, F, kRows>(w, row_bytes, codes, scales, sums, total);
  }
  for (; w != end; w += F::kBytes) {
    const auto group = [&]<int g>() __attribute__((always_inline)) {
      const auto xs = V::load_bytes(codes + 32 * g);
      const Floats x_scale = V::broadcast(scales + g);
      const auto bias = V::template bias<F::kBias, F::kSigned>(xs);
      [[maybe_unused]] Floats x_sum;
      if constexpr (F::kMin) x_sum = V::at_minima(sums[2 * g] + sums[2 * g + 1], 0);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const uint8_t* b = w + static_cast<uint64_t>(r) * row_bytes;
        V::prefetch(b + kAhead);
        Floats scale;
        if constexpr (F::kMin) {
          Floats minimum;
          F::scale_and_offset(b, scale, minimum);
          total.offset[r] = V::fma(minimum, x_sum, total.offset[r]);
        } else {
          scale = F::scale(b);
        }
        const auto dot = dot_group<V, F, g>(b, xs, bias);
        total.sum[r] = V::fma(V::to_floats(dot), V::multiply(scale, x_scale), total.sum[r]);
      }
    };
    group.template operator()<0>();
    if constexpr (F::kGroups == 2) group.template operator()<1>();
    codes += F::kValues, scales += F::kGroups, sums += 2 * F::kGroups;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    y[r] = V::sum(total.sum[r]);
    if constexpr (F::kMin) y[r] += V::sum(total.offset[r]);
  }
}

template <class V, class F, int kRows>
void dot_super_rows(const uint8_t* w, uint64_t row_bytes, int64_t columns, const PreparedRow& x,
                    float* y) {
  using Floats = typename V::Floats;
  Floats sum[kRows], minimum[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) sum[r] = minimum[r] = V::zero();
  const int8_t* codes = x.codes;
  const float* x_scales = x.scales;
  const float* x_sums = x.sums;
  const uint8_t* end = w + columns / 256 * F::kBytes;
  for (; w != end; w += F::kBytes, codes += 256, x_scales += 8, x_sums += 16) {
    Floats xs[2], xm[2];
    xs[0] = V::load(x_scales);
    if constexpr (F::kScales == 2) V::double_lanes(V::load(x_scales), xs[0], xs[1]);
    if constexpr (F::kMin) {
      xm[0] = V::load(x_sums), xm[1] = V::load(x_sums + 8);
      if constexpr (F::kScales == 1) xm[0] = V::add_pairs(xm[0], xm[1]);
    }
    alignas(64) float scales[kRows][8 * F::kScales];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      Floats s[2], m[2];
      for (int line = 0; line < F::kBytes; line += 64)
        V::prefetch(w + static_cast<uint64_t>(r) * row_bytes + kAhead + line);
      F::scales(w + static_cast<uint64_t>(r) * row_bytes, s, m);
#pragma GCC unroll 16
      for (int i = 0; i < F::kScales; ++i) {
        V::store(scales[r] + 8 * i, V::multiply(s[i], xs[i]));
        if constexpr (F::kMin) minimum[r] = V::fma(m[i], xm[i], minimum[r]);
      }
    }
    const auto group = [&]<int g>() __attribute__((always_inline)) {
      const auto x_codes = V::load_bytes(codes + 32 * g);
      const auto bias = V::template bias<F::kBias, F::kSigned>(x_codes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const uint8_t* b = w + static_cast<uint64_t>(r) * row_bytes;
        const auto dot = dot_group<V, F, g>(b, x_codes, bias);
        Floats scale;
        if constexpr (F::kScales == 1)
          scale = V::broadcast(scales[r] + g);
        else
          scale = V::broadcast_two(scales[r] + 2 * g);
        sum[r] = V::fma(V::to_floats(dot), scale, sum[r]);
      }
    };
    group.template operator()<0>(), group.template operator()<1>();
    group.template operator()<2>(), group.template operator()<3>();
    group.template operator()<4>(), group.template operator()<5>();
    group.template operator()<6>(), group.template operator()<7>();
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    y[r] = V::sum(sum[r]);
    if constexpr (F::kMin) y[r] -= V::sum(minimum[r]);
  }
}

template <class V, class F, int kRows>
void dot_rows(const uint8_t* w, uint64_t row_bytes, int64_t columns, const PreparedRow& x,
              float* y) {
  if constexpr (F::kSuper)
    dot_super_rows<V, F, kRows>(w, row_bytes, columns, x, y);
  else
    dot_plain_rows<V, F, kRows>(w, row_bytes, columns, x, y);
}

// Rows [begin, end) for few tokens, row after row: weights are one stream, which processors
// foresee. Each row stays in L1 while the tokens pass.
template <class V, class F>
void few_tokens(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                int64_t n_tokens, float* y, int64_t y_stride) {
  for (int64_t r = begin; r < end; ++r)
    for (int64_t t = 0; t < n_tokens; ++t)
      dot_rows<V, F, 1>(w.data + static_cast<uint64_t>(r) * w.row_bytes, w.row_bytes, w.columns,
                        x[t], y + t * y_stride + r - begin);
}

}  // namespace enxuto::generic
