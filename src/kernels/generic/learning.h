// Steps of an optimizer, and what it remembers in fewer bits.
#pragma once

#include "kernels/generic/for_lanes.h"

namespace enxuto::generic {

inline constexpr float kMeanCodes = 127, kSquareCodes = 255;

template <class V>
void adam_step(const AdamRates& r, const float* g, int64_t n, float* w, float* m, float* v) {
  const auto all = [](float a) { return V::all(a); };
  const auto beta1 = all(r.beta1), new1 = all(1 - r.beta1), beta2 = all(r.beta2),
             new2 = all(1 - r.beta2), scale = all(r.gradient_scale), decay = all(r.decay),
             rate = all(r.rate * r.mean_scale), root_scale = all(r.root_scale),
             epsilon = all(r.epsilon);
  for_lanes<V>(n, [&](int64_t i, auto lanes) {
    const auto gradient = V::multiply(scale, load_lanes<V>(g + i, lanes));
    const auto mean =
        V::add(V::multiply(beta1, load_lanes<V>(m + i, lanes)), V::multiply(new1, gradient));
    const auto square = V::add(V::multiply(beta2, load_lanes<V>(v + i, lanes)),
                               V::multiply(V::multiply(new2, gradient), gradient));
    const auto root = V::add(V::multiply(V::square_roots(square), root_scale), epsilon);
    const auto kept = V::multiply(decay, load_lanes<V>(w + i, lanes));
    store_lanes<V>(m + i, lanes, mean);
    store_lanes<V>(v + i, lanes, square);
    store_lanes<V>(w + i, lanes, V::subtract(kept, V::divide(V::multiply(rate, mean), root)));
  });
}

template <class V>
void sgd_step(const SgdRates& r, const float* g, int64_t n, float* w, float* m) {
  const auto momentum = V::all(r.momentum), scale = V::all(r.gradient_scale),
             decay = V::all(r.decay), rate = V::all(r.rate);
  for_lanes<V>(n, [&](int64_t i, auto lanes) {
    const auto mean = V::add(V::multiply(momentum, load_lanes<V>(m + i, lanes)),
                             V::multiply(scale, load_lanes<V>(g + i, lanes)));
    store_lanes<V>(m + i, lanes, mean);
    store_lanes<V>(
        w + i, lanes,
        V::subtract(V::multiply(decay, load_lanes<V>(w + i, lanes)), V::multiply(rate, mean)));
  });
}

// Chance::bits_at of i and those after it.
template <class V>
auto chance_bits(const Chance& chance, int64_t i) {
  const auto times = [](typename V::Ints a, uint32_t b) {
    return V::multiply_ints(a, V::all_ints(static_cast<int32_t>(b)));
  };
  const auto places = V::add_ints(V::counting(), V::all_ints(static_cast<int32_t>(i)));
  auto z = times(V::xor_ints(places, V::all_ints(static_cast<int32_t>(chance.seed))), 0x9e3779b1u);
  z = times(V::xor_ints(z, V::template shift_right<15>(z)), 0x85ebca6bu);
  z = times(V::xor_ints(z, V::template shift_right<13>(z)), 0xc2b2ae35u);
  return V::template shift_right<8>(V::xor_ints(z, V::template shift_right<16>(z)));
}
// Chance::at of them.
template <class V>
auto chances(const Chance& chance, int64_t i) {
  return V::multiply(V::to_floats(chance_bits<V>(chance, i)), V::all(0x1p-24f));
}

// As many of the row's values as there are from i on; zeros beyond its end.
template <class V>
auto load_within(const float* x, int64_t i, int64_t n) {
  return i + V::kLanes <= n ? V::load(x + i) : load_some<V>(x + i, n - i, 0);
}

// code(i): codes i … i + 7 of a row of n, as floats within [-128, 127]; lift is added to each.
template <class V, class Code>
void store_codes(void* codes, int64_t n, int lift, const Code& code) {
  auto* to = static_cast<uint8_t*>(codes);
  for (int64_t i = 0; i < n; i += 32) {
    typename V::Ints four[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) four[j] = V::round_to_ints(code(i + j * V::kLanes));
    const auto bytes =
        V::add_bytes(V::pack_ints(four[0], four[1], four[2], four[3]), V::all_bytes(lift));
    if (i + 32 <= n) {
      V::store_bytes(to + i, bytes);
    } else {
      uint8_t last[32];
      V::store_bytes(last, bytes);
      for (int64_t j = i; j < n; ++j) to[j] = last[j - i];
    }
  }
}

// Of what is at hand in eight lanes: one where a code is rounded up.
template <class V>
auto round_up(typename V::Floats above_low, typename V::Floats chance, typename V::Floats step) {
  return V::where_greater(above_low, V::multiply(chance, step), V::all(1.0f), V::zero());
}

template <class V>
void encode_mean(const float* m, int64_t n, const Chance& chance, int8_t* codes, float* scale) {
  auto all = V::zero();
  for_lanes<V>(n, [&](int64_t i, auto lanes) {
    all = V::maximum_or_nan(all, V::absolute(load_lanes<V>(m + i, lanes)));
  });
  const float most = V::largest_or_nan(all);
  *scale = most;
  const auto parts = V::all(most > 0 ? kMeanCodes * kMeanCodes / most : 0);
  const auto last = V::all(kMeanCodes), one = V::all(1.0f);
  store_codes<V>(codes, n, 0, [&](int64_t i) {
    const auto value = load_within<V>(m, i, n);
    const auto part = V::multiply(parts, V::absolute(value));
    const auto low = V::minimum(V::floor(V::square_roots(part)), last);
    const auto up = round_up<V>(V::subtract(part, V::multiply(low, low)), chances<V>(chance, i),
                                V::add(V::add(low, low), one));
    const auto code = V::minimum(V::add(low, up), last);
    return V::where_greater(V::zero(), value, V::subtract(V::zero(), code), code);
  });
}

template <class V>
void encode_square(const float* v, int64_t n, const Chance& chance, uint8_t* codes, float* scale) {
  auto all = V::zero();
  for_lanes<V>(
      n, [&](int64_t i, auto lanes) { all = V::maximum_or_nan(all, load_lanes<V>(v + i, lanes)); });
  const float root = V::square_root(V::largest_or_nan(all));
  *scale = root;
  const auto parts = V::all(root > 0 ? kSquareCodes * kSquareCodes / root : 0);
  const auto last = V::all(kSquareCodes), one = V::all(1.0f);
  const auto square = [](typename V::Floats a) { return V::multiply(a, a); };
  store_codes<V>(codes, n, 128, [&](int64_t i) {
    const auto value = load_within<V>(v, i, n);
    const auto part = V::multiply(parts, V::square_roots(value));
    const auto low = V::minimum(V::floor(V::square_roots(part)), last);
    const auto below = square(square(low)), above = square(square(V::add(low, one)));
    const auto up = round_up<V>(V::subtract(square(part), below), chances<V>(chance, i),
                                V::subtract(above, below));
    const auto code = V::minimum(V::add(low, up), last);
    const auto least = V::where_greater(value, V::zero(), one, V::zero());
    return V::subtract(V::maximum(code, least), V::all(128.0f));
  });
}

// body(i, where eight codes lie, lanes)
template <class V, class Code, class Body>
void for_codes(const Code* codes, int64_t n, const Body& body) {
  const int64_t whole = n / V::kLanes * V::kLanes;
  for (int64_t i = 0; i < whole; i += V::kLanes) body(i, codes + i, AllLanes{});
  if (whole == n) return;
  Code last[V::kLanes] = {};
  for (int64_t i = whole; i < n; ++i) last[i - whole] = codes[i];
  body(whole, last, FirstLanes{n - whole});
}

template <class V>
void decode_mean(const int8_t* codes, float scale, int64_t n, float* m) {
  const auto part = V::all(scale / (kMeanCodes * kMeanCodes));
  for_codes<V>(codes, n, [&](int64_t i, const int8_t* eight, auto lanes) {
    const auto code = V::to_floats(V::load_i8(eight));
    store_lanes<V>(m + i, lanes, V::multiply(V::multiply(part, code), V::absolute(code)));
  });
}

template <class V>
void decode_square(const uint8_t* codes, float scale, int64_t n, float* v) {
  const auto part = V::all(scale / (kSquareCodes * kSquareCodes));
  for_codes<V>(codes, n, [&](int64_t i, const uint8_t* eight, auto lanes) {
    const auto code = V::to_floats(V::load_u8(eight));
    const auto root = V::multiply(V::multiply(part, code), code);
    store_lanes<V>(v + i, lanes, V::multiply(root, root));
  });
}

template <class V>
void store_upper_halves(uint16_t* p, AllLanes, typename V::Ints a) {
  V::store_upper_halves(p, a);
}
template <class V>
void store_upper_halves(uint16_t* p, FirstLanes lanes, typename V::Ints a) {
  uint16_t all[V::kLanes];
  V::store_upper_halves(all, a);
  for (int64_t i = 0; i < lanes.n; ++i) p[i] = all[i];
}

// add(i, bits): what the bits of values grow by before their lower halves go. Of what is no number
// they do not; twice of it is the same, and quiet, so that it is not cut to an infinity.
template <class V, class Add>
void cut_to_bf16(const float* values, int64_t n, uint16_t* rounded, const Add& add) {
  for_lanes<V>(n, [&](int64_t i, auto lanes) {
    const auto value = load_lanes<V>(values + i, lanes);
    const auto bits = V::bits_of(value), quiet = V::bits_of(V::add(value, value));
    const auto grown = V::add_ints(bits, add(i, bits));
    store_upper_halves<V>(rounded + i, lanes, V::where_number(value, grown, quiet));
  });
}

template <class V>
void round_to_bf16(const float* values, int64_t n, uint16_t* rounded) {
  cut_to_bf16<V>(values, n, rounded, [](int64_t, typename V::Ints bits) {
    const auto odd = V::and_ints(V::template shift_right<16>(bits), V::all_ints(1));
    return V::add_ints(odd, V::all_ints(0x7fff));
  });
}

template <class V>
void round_by_chance(const float* values, int64_t n, const Chance& chance, uint16_t* rounded) {
  cut_to_bf16<V>(values, n, rounded, [&](int64_t i, typename V::Ints) {
    return V::template shift_right<8>(chance_bits<V>(chance, i));
  });
}

}  // namespace enxuto::generic
