// Rows of the way back: exponentials of scores, and gradients of attention, norms and gates.
#pragma once

#include "kernels/generic/for_lanes.h"

namespace enxuto::generic {

inline constexpr float kNothing = -__builtin_inff();  // its exponential is too small to matter

template <class V>
auto load_scores(const float* p, AllLanes) {
  return V::load(p);
}
template <class V>
auto load_scores(const float* p, FirstLanes lanes) {
  return load_some<V>(p, lanes.n, kNothing);
}

template <class V>
float largest(const float* x, int64_t n) {
  auto most = V::all(kNothing);
  for_lanes<V>(
      n, [&](int64_t i, auto lanes) { most = V::maximum(most, load_scores<V>(x + i, lanes)); });
  return V::largest(most);
}

template <class V>
double sum_exponentials(const float* x, int64_t n, float top) {
  return sum_lanes<V>(n, [x, from = V::all(top)](int64_t i, auto lanes) {
    return exponential<V>(V::subtract(load_scores<V>(x + i, lanes), from));
  });
}

template <class V>
double exponentials(float* x, int64_t n, float top, float scale) {
  return sum_lanes<V>(n, [x, from = V::all(top), by = V::all(scale)](int64_t i, auto lanes) {
    const auto e = exponential<V>(V::subtract(load_scores<V>(x + i, lanes), from));
    store_lanes<V>(x + i, lanes, V::multiply(by, e));
    return e;
  });
}

template <class V>
void attention_gradient(float* scores, float* gradients, int64_t n, const AttentionRow& row) {
  const auto log_sum = V::all(row.log_sum), along = V::all(row.along), scale = V::all(row.scale);
  for_lanes<V>(n, [&](int64_t i, auto lanes) {
    const auto s = load_lanes<V>(scores + i, lanes), g = load_lanes<V>(gradients + i, lanes);
    const auto share = exponential<V>(V::subtract(s, log_sum));
    store_lanes<V>(scores + i, lanes, share);
    store_lanes<V>(gradients + i, lanes,
                   V::multiply(V::multiply(scale, share), V::subtract(g, along)));
  });
}

template <class V>
double dot(const float* x, const float* y, int64_t n) {
  return sum_lanes<V>(n, [x, y](int64_t i, auto lanes) {
    return V::multiply(load_lanes<V>(x + i, lanes), load_lanes<V>(y + i, lanes));
  });
}

// With s = 1 / sqrt(mean(x^2) + epsilon):   dx = s w dy - x s^3 sum(w dy x) / n
template <class V>
void rms_norm_gradient(const float* x, const float* weight, float epsilon, int64_t n,
                       const float* dy, float* dx) {
  const auto weighted = [weight, dy](int64_t i, auto lanes) {
    return V::multiply(load_lanes<V>(weight + i, lanes), load_lanes<V>(dy + i, lanes));
  };
  const double along = sum_lanes<V>(n, [x, weighted](int64_t i, auto lanes) {
    return V::multiply(weighted(i, lanes), load_lanes<V>(x + i, lanes));
  });
  const auto size = static_cast<double>(n);
  const double scale = 1 / __builtin_sqrt(dot<V>(x, x, n) / size + epsilon);
  const auto s = V::all(static_cast<float>(scale)),
             back = V::all(static_cast<float>(scale * scale * scale * along / size));
  for_lanes<V>(n, [&](int64_t i, auto lanes) {
    const auto straight = V::multiply(s, weighted(i, lanes));
    store_lanes<V>(dx + i, lanes, V::negative_fma(back, load_lanes<V>(x + i, lanes), straight));
  });
}

// value_and_slope(g, &slope): a gate's value, and its slope by the gate itself.
template <class V, class Function>
void gate_gradient(float* gate, float* up, const float* dy, int64_t n,
                   const Function& value_and_slope) {
  for_lanes<V>(n, [&](int64_t i, auto lanes) {
    auto slope = V::zero();
    const auto value = value_and_slope(load_lanes<V>(gate + i, lanes), &slope);
    const auto d = load_lanes<V>(dy + i, lanes), u = load_lanes<V>(up + i, lanes);
    store_lanes<V>(gate + i, lanes, V::multiply(V::multiply(d, u), slope));
    store_lanes<V>(up + i, lanes, V::multiply(d, value));
  });
}

// Of g sigmoid(z) by g, where z grows by `steepness` with g.
template <class V>
auto swish_slope(typename V::Floats g, typename V::Floats s, typename V::Floats steepness) {
  const auto one = V::all(1.0f);
  const auto rest = V::multiply(V::multiply(g, V::subtract(one, s)), steepness);
  return V::multiply(s, V::add(one, rest));
}

template <class V>
void silu_mul_gradient(float* gate, float* up, const float* dy, int64_t n) {
  gate_gradient<V>(gate, up, dy, n, [](typename V::Floats g, typename V::Floats* slope) {
    const auto s = sigmoid<V>(g);
    *slope = swish_slope<V>(g, s, V::all(1.0f));
    return V::multiply(g, s);
  });
}

// gelu(g) = g sigmoid(2 u), u = root (g + c g^3), as tanh(u) = 2 sigmoid(2 u) - 1
template <class V>
auto gelu_and_slope(typename V::Floats g, typename V::Floats* slope) {
  const auto one = V::all(1.0f), two_roots = V::all(2 * 0.79788456f), cube = V::all(0.044715f);
  const auto bend = V::multiply(cube, V::multiply(g, g));
  const auto s = sigmoid<V>(V::multiply(V::multiply(two_roots, g), V::add(one, bend)));
  const auto steepness = V::multiply(two_roots, V::fma(V::all(3.0f), bend, one));
  *slope = swish_slope<V>(g, s, steepness);
  return V::multiply(g, s);
}

template <class V>
void gelu_mul_gradient(float* gate, float* up, const float* dy, int64_t n) {
  gate_gradient<V>(gate, up, dy, n, [](typename V::Floats g, typename V::Floats* slope) {
    return gelu_and_slope<V>(g, slope);
  });
}

template <class V>
void gelu_gradient(float* x, const float* dy, int64_t n) {
  for_lanes<V>(n, [&](int64_t i, auto lanes) {
    auto slope = V::zero();
    gelu_and_slope<V>(load_lanes<V>(x + i, lanes), &slope);
    store_lanes<V>(x + i, lanes, V::multiply(load_lanes<V>(dy + i, lanes), slope));
  });
}

}  // namespace enxuto::generic
