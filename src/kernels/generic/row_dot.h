// One token, or few: weights are read once, in file order.
#pragma once

#include <utility>

#include "kernels/generic/formats.h"
#include "kernels/kernels.h"

namespace enxuto::generic {

// How far ahead of its use a weight is asked for.
inline constexpr int64_t kAhead = 4096;

template <class V, int kBytes>
[[gnu::always_inline]] inline void ask_ahead(const uint8_t* w) {
#pragma GCC unroll 8
  for (int line = 0; line < kBytes; line += 64) V::prefetch(w + kAhead + line);
}

// Whether a format's blocks can be taken two at a time.
template <class V, class F>
concept InTwos = requires(const uint8_t* b) { F::two(b, b); };

// What a row has added up, in lanes; an offset only where a format has minima.
template <class V>
struct RowSum {
  typename V::Floats sum = V::zero(), offset = V::zero();
};

// Two blocks, from w on.
template <class V, class F>
inline void add_two_blocks(const uint8_t* w, const int8_t* codes, const float* scales,
                           const float* sums, RowSum<V>& total) {
  const auto x0 = V::first_halves(V::load_bytes(codes), V::load_bytes(codes + 32));
  const auto x1 = V::second_halves(V::load_bytes(codes), V::load_bytes(codes + 32));
  const auto bias = V::template bias<F::kBias, F::kSigned>(x0, x1);
  const uint8_t* next = w + F::kBytes;
  V::prefetch(w + kAhead);
  const Halves<V> half = F::two(w, next);
  typename V::Floats scale;
  if constexpr (F::kMin) {
    typename V::Floats all;
    V::broadcast_two_f16_pairs(w, next, scale, all);
    const auto x_sums = V::at_minima(sums[0] + sums[1], sums[2] + sums[3]);
    total.offset = V::fma(all, x_sums, total.offset);
  } else {
    scale = F::two_scales(w, next);
  }
  const auto dot =
      V::template dot<F::kBias, F::kSigned, F::kMax>(half.first, half.second, x0, x1, bias);
  total.sum = V::fma(V::to_floats(dot), V::multiply(scale, V::broadcast_two(scales)), total.sum);
}

template <class V, class F>
float dot_plain_row(const uint8_t* w, int64_t columns, const PreparedRow& x) {
  using Floats = typename V::Floats;
  RowSum<V> total;
  const int8_t* codes = x.codes;
  const float* scales = x.scales;
  const float* sums = x.sums;
  const uint8_t* end = w + columns / F::kValues * F::kBytes;
  if constexpr (InTwos<V, F>) {
    for (; end - w >= 2 * F::kBytes; w += 2 * F::kBytes, codes += 64, scales += 2, sums += 4)
      add_two_blocks<V, F>(w, codes, scales, sums, total);
  }
  for (; w != end; w += F::kBytes) {
    V::prefetch(w + kAhead);
    const auto group = [&]<int g>() __attribute__((always_inline)) {
      const auto xs = V::load_bytes(codes + 32 * g);
      const auto bias = V::template bias<F::kBias, F::kSigned>(xs);
      Floats scale;
      if constexpr (F::kMin) {
        Floats minimum;
        F::scale_and_offset(w, scale, minimum);
        const auto x_sum = V::at_minima(sums[2 * g] + sums[2 * g + 1], 0);
        total.offset = V::fma(minimum, x_sum, total.offset);
      } else if constexpr (F::kScales == 2) {
        scale = V::two(F::template scale_of<2 * g>(w), F::template scale_of<2 * g + 1>(w));
      } else {
        scale = F::scale(w);
      }
      const auto dot = V::template dot<F::kBias, F::kSigned>(F::template codes<g>(w), xs, bias);
      total.sum =
          V::fma(V::to_floats(dot), V::multiply(scale, V::broadcast(scales + g)), total.sum);
    };
    [&]<int... g>(std::integer_sequence<int, g...>) {
      (group.template operator()<g>(), ...);
    }(std::make_integer_sequence<int, F::kGroups>());
    codes += F::kValues, scales += F::kGroups, sums += 2 * F::kGroups;
  }
  float sum = V::sum(total.sum);
  if constexpr (F::kMin) sum += V::sum(total.offset);
  return sum;
}

// Group g of a super-block, unsigned where V multiplies nothing else: what that adds is taken off
// the whole row.
template <class V, class F, int g>
[[gnu::always_inline]] inline typename V::Ints dot_shifted(const uint8_t* b, const int8_t* x) {
  const auto codes = V::load_bytes(x + 32 * g);
  if constexpr (SignsApart<F>) {
    const auto weights = F::template apart<g>(b);
    return V::template dot<0, false>(weights.magnitudes, V::negate_where(codes, weights.signs),
                                     V::zero_ints());
  } else {
    using As = Unsigned<V, F>;
    return V::template dot<0, As::kSigned>(As::template codes<g>(b), codes, V::zero_ints());
  }
}

// Whether V takes two groups of a format in one vector.
template <class V, class F>
concept InWide =
    requires { typename V::Wide; } && requires(const uint8_t* b) { F::template two_groups<0>(b); };

// The dot products of a super-block, each with its scale s, added to `sum`.
template <class V, class F>
[[gnu::always_inline]] inline void add_super_block(const uint8_t* w, const int8_t* codes,
                                                   const typename V::Floats* s,
                                                   typename V::Floats x_scales,
                                                   typename V::Floats& sum) {
  typename V::Floats scale[2];  // as sums_of_four has its lanes
  if constexpr (F::kScales == 1) {
    V::double_halves(V::multiply(s[0], x_scales), scale[0], scale[1]);
  } else {
    V::double_halves(x_scales, scale[0], scale[1]);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) scale[i] = V::multiply(V::evens_then_odds(s[i]), scale[i]);
  }
  const auto add_four = [&]<int g>() __attribute__((always_inline)) {
    const auto dots =
        V::sums_of_four(dot_shifted<V, F, g>(w, codes), dot_shifted<V, F, g + 1>(w, codes),
                        dot_shifted<V, F, g + 2>(w, codes), dot_shifted<V, F, g + 3>(w, codes));
    sum = V::fma(V::to_floats(dots), scale[g / 4], sum);
  };
  add_four.template operator()<0>();
  add_four.template operator()<4>();
}

// The same by vectors of two groups.
template <class V, class F>
[[gnu::always_inline]] inline void add_super_block(const uint8_t* w, const int8_t* codes,
                                                   const typename V::Floats* s,
                                                   typename V::Floats x_scales,
                                                   typename V::WideFloats& sum) {
  static_assert(F::kScales == 1);
  const auto dots = V::sums_of_four(V::dot_wide(F::template two_groups<0>(w), codes),
                                    V::dot_wide(F::template two_groups<2>(w), codes + 64),
                                    V::dot_wide(F::template two_groups<4>(w), codes + 128),
                                    V::dot_wide(F::template two_groups<6>(w), codes + 192));
  sum = V::fma(dots, V::by_group(V::multiply(s[0], x_scales)), sum);
}

template <class V, class F>
float dot_super_row(const uint8_t* w, int64_t columns, const PreparedRow& x) {
  using Floats = typename V::Floats;
  constexpr int kBias = SignsApart<F> ? 0 : Unsigned<V, F>::kBias;
  auto sum = [] {
    if constexpr (InWide<V, F>)
      return V::wide_zero();
    else
      return V::zero();
  }();
  [[maybe_unused]] Floats offset = V::zero();
  const int8_t* codes = x.codes;
  const float* x_scales = x.scales;
  const float* x_sums = x.sums;
  const uint8_t* end = w + columns / 256 * F::kBytes;
  for (; w != end; w += F::kBytes, codes += 256, x_scales += 8, x_sums += 16) {
    ask_ahead<V, F::kBytes>(w);
    Floats s[2], m[2];
    F::scales(w, s, m);
    if constexpr (F::kMin || kBias != 0) {
      Floats sums[2] = {V::load(x_sums), V::load(x_sums + 8)};
      if constexpr (F::kScales == 1) sums[0] = V::add_pairs(sums[0], sums[1]);
#pragma GCC unroll 2
      for (int i = 0; i < F::kScales; ++i) offset = V::fma(F::kMin ? m[i] : s[i], sums[i], offset);
    }
    add_super_block<V, F>(w, codes, s, V::load(x_scales), sum);
  }
  float y = V::sum(sum);
  if constexpr (F::kMin) y -= V::sum(offset);
  if constexpr (!F::kMin && kBias != 0) y -= static_cast<float>(kBias) * V::sum(offset);
  return y;
}

template <class V, class F>
float dot_row(const uint8_t* w, int64_t columns, const PreparedRow& x) {
  if constexpr (F::kSuper)
    return dot_super_row<V, F>(w, columns, x);
  else
    return dot_plain_row<V, F>(w, columns, x);
}

// Rows [begin, end) for few tokens, row after row: weights are one stream, which processors
// foresee. Each row stays in L1 while the tokens pass.
template <class V, class F>
void few_tokens(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                int64_t n_tokens, float* y, int64_t y_stride) {
  for (int64_t r = begin; r < end; ++r) {
    const uint8_t* row = w.data + static_cast<uint64_t>(r) * w.row_bytes;
    for (int64_t t = 0; t < n_tokens; ++t)
      y[t * y_stride + r - begin] = dot_row<V, F>(row, w.columns, x[t]);
  }
}

}  // namespace enxuto::generic
