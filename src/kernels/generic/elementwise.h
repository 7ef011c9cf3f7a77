// Norms, activations, softmax and the preparation of activations, over vector primitives V.
#pragma once

#include "kernels/kernels.h"

namespace enxuto::generic {

// Relative error below 2e-7; saturates at 2^-126 and 2^127, hands NaN on.
template <class V>
auto exponential(typename V::Floats x) {
  x = V::minimum(V::all(88.37f), V::maximum(V::all(-87.33f), x));
  const auto n = V::round(V::multiply(x, V::all(1.44269504f)));
  auto r = V::negative_fma(n, V::all(0.693359375f), x);  // ln 2 in two parts
  r = V::negative_fma(n, V::all(-2.12194440e-4f), r);
  auto p = V::all(1.0f / 5040);  // Taylor; |r| <= ln 2 / 2
  p = V::fma(p, r, V::all(1.0f / 720));
  p = V::fma(p, r, V::all(1.0f / 120));
  p = V::fma(p, r, V::all(1.0f / 24));
  p = V::fma(p, r, V::all(1.0f / 6));
  p = V::fma(p, r, V::all(0.5f));
  p = V::fma(p, r, V::all(1.0f));
  p = V::fma(p, r, V::all(1.0f));
  return V::multiply(p, V::power_of_two(V::round_to_ints(n)));
}

// 1 / (1 + exp(-x))
template <class V>
auto sigmoid(typename V::Floats x) {
  const auto one = V::all(1.0f);
  return V::divide(one, V::add(one, exponential<V>(V::subtract(V::zero(), x))));
}

template <class V>
auto load_some(const float* p, int64_t n, float fill) {
  float all[V::kLanes];
  for (int i = 0; i < V::kLanes; ++i) all[i] = i < n ? p[i] : fill;
  return V::load(all);
}

template <class V>
void store_some(float* p, int64_t n, typename V::Floats a) {
  float all[V::kLanes];
  V::store(all, a);
  for (int64_t i = 0; i < n; ++i) p[i] = all[i];
}

// y[i] = f(a[i], b[i]), lanes at a time.
template <class V, class Function>
void map(const float* a, const float* b, int64_t n, float* y, const Function& f) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::store(y + i, f(V::load(a + i), V::load(b + i)));
  if (i < n)
    store_some<V>(y + i, n - i, f(load_some<V>(a + i, n - i, 0), load_some<V>(b + i, n - i, 0)));
}

template <class V>
void add(const float* x, int64_t n, float* y) {
  map<V>(x, y, n, y, [](auto a, auto b) { return V::add(a, b); });
}

template <class V>
void silu_mul(const float* gate, const float* up, int64_t n, float* y) {
  map<V>(gate, up, n, y,
         [](auto g, auto u) { return V::multiply(V::multiply(g, sigmoid<V>(g)), u); });
}

// The tanh form, as a sigmoid: (1 + tanh z) / 2 = sigmoid(2 z).
template <class V>
auto gelu_of(typename V::Floats g) {
  const auto inner = V::fma(V::multiply(g, g), V::all(0.044715f), V::all(1.0f));
  const auto twice = V::multiply(V::multiply(V::all(2 * 0.79788456f), g), inner);
  return V::multiply(g, sigmoid<V>(twice));
}

template <class V>
void gelu_mul(const float* gate, const float* up, int64_t n, float* y) {
  map<V>(gate, up, n, y, [](auto g, auto u) { return V::multiply(gelu_of<V>(g), u); });
}

template <class V>
void gelu(const float* x, int64_t n, float* y) {
  map<V>(x, x, n, y, [](auto a, auto) { return gelu_of<V>(a); });
}

template <class V>
double sum_of_squares(const float* x, int64_t n) {
  auto sums = V::zero_doubles();
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) sums = V::add_squares(V::load(x + i), sums);
  double sum = V::sum_doubles(sums);
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

template <class V>
void rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* y) {
  const double sum = sum_of_squares<V>(x, n);
  const float mean = static_cast<float>(sum / static_cast<double>(n) + epsilon);
  const auto scale = V::all(1 / V::square_root(mean));
  map<V>(x, weight, n, y,
         [scale](auto a, auto w) { return V::multiply(V::multiply(a, scale), w); });
}

template <class V>
float mean_of(const float* x, int64_t n) {
  auto sums = V::zero();
  for (int64_t i = 0; i < n; i += V::kLanes)
    sums = V::add(sums, i + V::kLanes <= n ? V::load(x + i) : load_some<V>(x + i, n - i, 0));
  return V::sum(sums) / static_cast<float>(n);
}

// What rounding leaves of the mean is taken off as well.
template <class V>
void layer_norm(const float* x, const float* weight, const float* bias, float epsilon, int64_t n,
                float* y) {
  const auto take_off_mean = [n, y](const float* from) {
    const auto mean = V::all(mean_of<V>(from, n));
    map<V>(from, from, n, y, [mean](auto a, auto) { return V::subtract(a, mean); });
  };
  take_off_mean(x);
  take_off_mean(y);
  const double variance = sum_of_squares<V>(y, n) / static_cast<double>(n);
  const auto scale = V::all(1 / V::square_root(static_cast<float>(variance + epsilon)));
  map<V>(y, weight, n, y,
         [scale](auto a, auto w) { return V::multiply(V::multiply(a, scale), w); });
  add<V>(bias, n, y);
}

template <class V>
void softmax(float* x, int64_t n) {
  auto largest = V::all(x[0]);
  for (int64_t i = 0; i < n; i += V::kLanes)
    largest =
        V::maximum(largest, i + V::kLanes <= n ? V::load(x + i) : load_some<V>(x + i, n - i, x[0]));
  const auto top = V::all(V::largest(largest));
  map<V>(x, x, n, x, [top](auto a, auto) { return exponential<V>(V::subtract(a, top)); });
  auto sums = V::zero();
  for (int64_t i = 0; i < n; i += V::kLanes)
    sums = V::add(sums, i + V::kLanes <= n ? V::load(x + i) : load_some<V>(x + i, n - i, 0));
  const auto inverse = V::all(1 / V::sum(sums));
  map<V>(x, x, n, x, [inverse](auto a, auto) { return V::multiply(a, inverse); });
}

// Of n values, a multiple of 32; NaN where one is.
template <class V>
float largest_magnitude(const float* x, int64_t n) {
  auto most = V::zero();
  for (int64_t i = 0; i < n; i += 32) {
    typename V::Floats a[4];
    for (int j = 0; j < 4; ++j) a[j] = V::absolute(V::load(x + i + 8 * j));
    most = V::maximum_or_nan(
        most, V::maximum_or_nan(V::maximum_or_nan(a[0], a[1]), V::maximum_or_nan(a[2], a[3])));
  }
  return V::largest_or_nan(most);
}

template <class V>
void prepare(int64_t columns, int64_t sharing, const PreparedRow& row) {
  float scale = 0;
  typename V::Floats inverse = V::zero();
  const float* next = row.values;  // where other values share a scale
  for (int64_t j = 0; j < columns / 32; ++j) {
    const float* x = row.values + 32 * j;
    if (x == next) {
      const float largest = largest_magnitude<V>(x, sharing);
      const bool none = largest <= kSmallestActivation;
      scale = none ? 0 : largest / 127;
      inverse = V::all(none ? 0 : 127 / largest);
      next += sharing;
    }
    typename V::Ints codes[4];
    for (int i = 0; i < 4; ++i)
      codes[i] = V::round_to_ints(V::multiply(V::load(x + 8 * i), inverse));
    V::store_bytes(row.codes + 32 * j, V::pack_ints(codes[0], codes[1], codes[2], codes[3]));
    int32_t sums[2];
    for (int half = 0; half < 2; ++half) {
      sums[half] = V::sum_ints(V::add_ints(codes[2 * half], codes[2 * half + 1]));
      row.sums[2 * j + half] = scale * static_cast<float>(sums[half]);
    }
    // Unsigned, since what a NaN became may overflow; the scale tells of it.
    const uint32_t sum = static_cast<uint32_t>(sums[0]) + static_cast<uint32_t>(sums[1]);
    row.shifts[j] = static_cast<int32_t>(0u - 128u * sum);
    row.scales[j] = scale;
  }
}

}  // namespace enxuto::generic
