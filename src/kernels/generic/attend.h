// Attention of many queries on one key/value head: sixteen positions at a time, keys transposed
// once into a tile that all queries share, softmax kept as a running maximum and sum.
#pragma once

#include "kernels/generic/elementwise.h"
#include "kernels/generic/float_rows.h"

namespace enxuto::generic {

inline constexpr int64_t kPositions = kFloatRows;
inline constexpr int64_t kQueries = 32;
static_assert(kMaxHeadDim * kPositions <= kKernelScratchFloats);

struct AttendState {
  alignas(64) float weights[kQueries][kPositions];  // scores, then their exponentials
  float largest[kQueries];
  float total[kQueries];
};

// Calls f.operator()<n>(i) over [0, count) in steps of 6, 3 and 1.
template <class Function>
void in_steps(int64_t count, const Function& f) {
  int64_t i = 0;
  for (; i + 6 <= count; i += 6) f.template operator()<6>(i);
  for (; i + 3 <= count; i += 3) f.template operator()<3>(i);
  for (; i < count; ++i) f.template operator()<1>(i);
}

template <class T>
void score(const AttendQuery* queries, int64_t n_queries, const float* tile, int64_t head_dim,
           AttendState& state) {
  in_steps(n_queries, [&]<int n>(int64_t i) {
    const float* q[n];
    float* sums[n];
#pragma GCC unroll 16
    for (int j = 0; j < n; ++j) {
      q[j] = queries[i + j].q, sums[j] = state.weights[i + j];
      for (int64_t p = 0; p < kPositions; ++p) sums[j][p] = 0;
    }
    tile_fma<T, n>(tile, head_dim, q, sums);
  });
}

// Scores of the positions from `first` on become weights; what was summed before shrinks by the
// growth of the maximum.
template <class V>
void weigh(const AttendQuery& query, int64_t first, int64_t head_dim, float scale, float* weights,
           float& largest, float& total) {
  constexpr int kVectors = kPositions / V::kLanes;
  const int64_t from = query.begin - first, to = query.end - first;
  for (int64_t p = 0; p < kPositions; ++p)
    weights[p] = p >= from && p < to ? weights[p] * scale : -__builtin_inff();
  typename V::Floats a[kVectors], top = V::all(largest), sums = V::zero();
#pragma GCC unroll 16
  for (int i = 0; i < kVectors; ++i) {
    a[i] = V::load(weights + i * V::kLanes);
    top = V::maximum(top, a[i]);
  }
  const float before = largest;
  largest = V::largest(top);
  if (largest == -__builtin_inff()) largest = before;
#pragma GCC unroll 16
  for (int i = 0; i < kVectors; ++i) {
    a[i] = exponential<V>(V::subtract(a[i], V::all(largest)));
    sums = V::add(sums, a[i]);
    V::store(weights + i * V::kLanes, a[i]);
  }
  if (largest != before) {
    const float shrink = V::first(exponential<V>(V::all(before - largest)));
    total *= shrink;
    map<V>(query.out, query.out, head_dim, query.out,
           [shrink](auto o, auto) { return V::multiply(o, V::all(shrink)); });
  }
  total += V::sum(sums);
}

// out += weights . v, for dimensions [from, from + 8 kVectors)
template <class V, int kVectors, int n>
void add_values(const AttendQuery* queries, const float (*weights)[kPositions], const uint16_t* v,
                int64_t kv_stride, int64_t n_positions, int64_t from) {
  typename V::Floats out[n][kVectors];
#pragma GCC unroll 16
  for (int j = 0; j < n; ++j)
#pragma GCC unroll 16
    for (int i = 0; i < kVectors; ++i) out[j][i] = V::load(queries[j].out + from + 8 * i);
  for (int64_t p = 0; p < n_positions; ++p) {
    typename V::Floats value[kVectors];
#pragma GCC unroll 16
    for (int i = 0; i < kVectors; ++i) value[i] = V::load_f16(v + p * kv_stride + from + 8 * i);
#pragma GCC unroll 16
    for (int j = 0; j < n; ++j) {
      const auto weight = V::broadcast(weights[j] + p);
#pragma GCC unroll 16
      for (int i = 0; i < kVectors; ++i) out[j][i] = V::fma(weight, value[i], out[j][i]);
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < n; ++j)
#pragma GCC unroll 16
    for (int i = 0; i < kVectors; ++i) V::store(queries[j].out + from + 8 * i, out[j][i]);
}

template <class V>
void gather_values(const AttendQuery* queries, int64_t n_queries, const AttendState& state,
                   const uint16_t* v, int64_t kv_stride, int64_t n_positions, int64_t head_dim) {
  in_steps(n_queries, [&]<int n>(int64_t i) {
    int64_t d = 0;
    for (; d + 16 <= head_dim; d += 16)
      add_values<V, 2, n>(queries + i, state.weights + i, v, kv_stride, n_positions, d);
    for (; d + 8 <= head_dim; d += 8)
      add_values<V, 1, n>(queries + i, state.weights + i, v, kv_stride, n_positions, d);
    for (; d < head_dim; ++d)
#pragma GCC unroll 16
      for (int j = 0; j < n; ++j)
        for (int64_t p = 0; p < n_positions; ++p)
          queries[i + j].out[d] +=
              state.weights[i + j][p] *
              F16Loader<V>::one(reinterpret_cast<const uint8_t*>(v + p * kv_stride + d));
  });
}

template <class V, class T>
void attend_batch(const AttendQuery* queries, int64_t n_queries, const uint16_t* k,
                  const uint16_t* v, int64_t kv_stride, int64_t head_dim, float scale,
                  float* tile) {
  AttendState state;
  int64_t begin = queries[0].begin, end = queries[0].end;
  for (int64_t i = 0; i < n_queries; ++i) {
    if (queries[i].begin < begin) begin = queries[i].begin;
    if (queries[i].end > end) end = queries[i].end;
    state.largest[i] = -__builtin_inff(), state.total[i] = 0;
    for (int64_t d = 0; d < head_dim; ++d) queries[i].out[d] = 0;
  }
  for (int64_t first = begin; first < end; first += kPositions) {
    const int64_t n = end - first < kPositions ? end - first : kPositions;
    transpose_rows<V, F16Loader<V>>(reinterpret_cast<const uint8_t*>(k + first * kv_stride),
                                    static_cast<uint64_t>(kv_stride) * 2, n, head_dim, tile);
    score<T>(queries, n_queries, tile, head_dim, state);
    for (int64_t i = 0; i < n_queries; ++i) {
      const bool any = queries[i].begin < first + n && queries[i].end > first;
      if (any)
        weigh<V>(queries[i], first, head_dim, scale, state.weights[i], state.largest[i],
                 state.total[i]);
      else
        for (float& weight : state.weights[i]) weight = 0;
    }
    gather_values<V>(queries, n_queries, state, v + first * kv_stride, kv_stride, n, head_dim);
  }
  for (int64_t i = 0; i < n_queries; ++i) {
    const float inverse = state.total[i] > 0 ? 1 / state.total[i] : 0;
    for (int64_t d = 0; d < head_dim; ++d) queries[i].out[d] *= inverse;
  }
}

template <class V, class T>
void attend(const AttendQuery* queries, int64_t n_queries, const uint16_t* k, const uint16_t* v,
            int64_t kv_stride, int64_t head_dim, float scale, float* scratch) {
  for (int64_t i = 0; i < n_queries; i += kQueries)
    attend_batch<V, T>(queries + i, n_queries - i < kQueries ? n_queries - i : kQueries, k, v,
                       kv_stride, head_dim, scale, scratch);
}

}  // namespace enxuto::generic
