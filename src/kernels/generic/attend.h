// Attention of many queries on one key/value head: sixteen positions at a time, softmax kept as a
// running maximum and sum. F16 keys are transposed once into a tile that all queries share; blocks
// of keys are a matrix that meets the queries' codes; blocks of values are widened in registers.
#pragma once

#include "kernels/generic/elementwise.h"
#include "kernels/generic/float_rows.h"
#include "kernels/generic/row_dot.h"
#include "kernels/generic/tile.h"

namespace enxuto::generic {

inline constexpr int64_t kPositions = kFloatRows;
inline constexpr int64_t kQueries = 32;
static_assert(kMaxHeadDim * kPositions <= kKernelScratchFloats);

inline constexpr int64_t kBlock = 32;
inline constexpr int64_t kFewQueries = 4;  // up to here, a tile of keys is not worth its packing
// Behind the tile of keys lie the codes of the queries.
inline constexpr int64_t kCodeFloats = kQueries * kMaxHeadDim / 4;
static_assert(kTileFloats + kCodeFloats + kQueries * kMaxHeadDim * 4 / kBlock <=
              kKernelScratchFloats);

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
void score_tile(const AttendQuery* queries, int64_t n_queries, const float* tile, int64_t head_dim,
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

// The queries as blocks of keys meet them: in codes, behind the tile.
template <class V>
void prepare_queries(const AttendQuery* queries, int64_t n_queries, int64_t head_dim,
                     float* scratch, PreparedRow* rows) {
  auto* codes = reinterpret_cast<int8_t*>(scratch + kTileFloats);
  float* scales = scratch + kTileFloats + kCodeFloats;
  float* sums = scales + n_queries * head_dim / 32;
  auto* shifts = reinterpret_cast<int32_t*>(sums + n_queries * head_dim / 16);
  for (int64_t i = 0; i < n_queries; ++i) {
    rows[i] = {queries[i].q, codes + i * head_dim, scales + i * head_dim / 32,
               sums + i * head_dim / 16, shifts + i * head_dim / 32};
    prepare<V>(head_dim, 32, rows[i]);
  }
}

template <class V, class T, class F>
void score_blocks(const MatrixView& keys, int64_t first, int64_t n, const PreparedRow* x,
                  int64_t n_queries, float* scratch, AttendState& state) {
  if (n_queries <= kFewQueries)
    few_tokens<V, F>(keys, first, first + n, x, n_queries, state.weights[0], kPositions);
  else
    many_tokens<V, T, F>(keys, first, first + n, x, n_queries, state.weights[0], kPositions,
                         scratch);
}

// How a row of values is read: eight<k> are its values d + k … d + k + 7, `at` points to where d
// is; d is a multiple of 32 where there are blocks.
template <class V>
struct F16Values {
  static constexpr int64_t offset(int64_t d) { return 2 * d; }
  template <int k>
  static auto eight(const uint8_t* at) {
    return V::load_f16(at + 2 * k);
  }
};

template <class V>
struct Q8_0Values {
  static constexpr int kBias = 0;
  static constexpr int64_t offset(int64_t d) { return d / kBlock * 34; }
  template <int k>
  static auto eight(const uint8_t* at) {
    return V::to_floats(V::load_i8(at + 2 + k));
  }
};

template <class V>
struct Q4_0Values {
  static constexpr int kBias = 8;
  static constexpr int64_t offset(int64_t d) { return d / kBlock * 18; }
  template <int k>
  static auto eight(const uint8_t* at) {
    return V::to_floats(V::template field<k / 16 * 4>(V::load_u8(at + 2 + k % 16), 15));
  }
};

// out[d + i] += weights . v, for i in [kFrom, kFrom + 8 kVectors); weights (n) x weights_stride.
template <class V, class L, int kFrom, int kVectors, int n>
void add_values(const AttendQuery* queries, const float* weights, const uint8_t* v,
                int64_t row_bytes, int64_t n_positions, int64_t d) {
  typename V::Floats out[n][kVectors];
#pragma GCC unroll 16
  for (int j = 0; j < n; ++j)
#pragma GCC unroll 16
    for (int i = 0; i < kVectors; ++i) out[j][i] = V::load(queries[j].out + d + kFrom + 8 * i);
  for (int64_t p = 0; p < n_positions; ++p) {
    const uint8_t* at = v + p * row_bytes + L::offset(d);
    typename V::Floats value[kVectors];
    [&]<int... i>(std::integer_sequence<int, i...>) {
      ((value[i] = L::template eight<kFrom + 8 * i>(at)), ...);
    }(std::make_integer_sequence<int, kVectors>());
#pragma GCC unroll 16
    for (int j = 0; j < n; ++j) {
      const auto weight = V::broadcast(weights + j * kPositions + p);
#pragma GCC unroll 16
      for (int i = 0; i < kVectors; ++i) out[j][i] = V::fma(weight, value[i], out[j][i]);
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < n; ++j)
#pragma GCC unroll 16
    for (int i = 0; i < kVectors; ++i) V::store(queries[j].out + d + kFrom + 8 * i, out[j][i]);
}

template <class V>
void gather_halves(const AttendQuery* queries, int64_t n_queries, const AttendState& state,
                   const uint8_t* v, int64_t row_bytes, int64_t n_positions, int64_t head_dim) {
  using L = F16Values<V>;
  in_steps(n_queries, [&]<int n>(int64_t i) {
    const float* weights = state.weights[i];
    int64_t d = 0;
    for (; d + 16 <= head_dim; d += 16)
      add_values<V, L, 0, 2, n>(queries + i, weights, v, row_bytes, n_positions, d);
    for (; d + 8 <= head_dim; d += 8)
      add_values<V, L, 0, 1, n>(queries + i, weights, v, row_bytes, n_positions, d);
    for (; d < head_dim; ++d)
#pragma GCC unroll 16
      for (int j = 0; j < n; ++j)
        for (int64_t p = 0; p < n_positions; ++p)
          queries[i + j].out[d] +=
              weights[j * kPositions + p] * F16Loader<V>::one(v + p * row_bytes + 2 * d);
  });
}

// A block's scale goes into the weights, its bias is taken off at the end.
template <class V, class L>
void gather_blocks(const AttendQuery* queries, int64_t n_queries, const AttendState& state,
                   const uint8_t* v, int64_t row_bytes, int64_t n_positions, int64_t head_dim) {
  constexpr int kVectors = kPositions / V::kLanes;
  for (int64_t d = 0; d < head_dim; d += kBlock) {
    alignas(64) float scales[kPositions] = {};
    for (int64_t p = 0; p < n_positions; ++p)
      scales[p] = V::first(V::broadcast_f16(v + p * row_bytes + L::offset(d)));
    in_steps(n_queries, [&]<int n>(int64_t i) {
      alignas(64) float weights[n * kPositions];
      for (int j = 0; j < n; ++j) {
        auto sum = V::zero();
#pragma GCC unroll 16
        for (int u = 0; u < kVectors; ++u) {
          const auto weight = V::multiply(V::load(state.weights[i + j] + u * V::kLanes),
                                          V::load(scales + u * V::kLanes));
          V::store(weights + j * kPositions + u * V::kLanes, weight);
          sum = V::add(sum, weight);
        }
        if constexpr (L::kBias != 0) {
          const auto bias = V::all(-L::kBias * V::sum(sum));
          map<V>(queries[i + j].out + d, queries[i + j].out + d, kBlock, queries[i + j].out + d,
                 [bias](auto o, auto) { return V::add(o, bias); });
        }
      }
      if constexpr (n == 1) {
        add_values<V, L, 0, 4, 1>(queries + i, weights, v, row_bytes, n_positions, d);
      } else {
        add_values<V, L, 0, 2, n>(queries + i, weights, v, row_bytes, n_positions, d);
        add_values<V, L, 16, 2, n>(queries + i, weights, v, row_bytes, n_positions, d);
      }
    });
  }
}

// Scores and values of sixteen positions, by the formats of the cache.
template <class V, class T>
struct Attention {
  const AttendQuery* queries;
  int64_t n_queries;
  const KvRows& kv;
  int64_t head_dim;
  float* scratch;
  PreparedRow rows[kQueries];
  AttendState state;

  MatrixView keys() const {
    return {kv.key_type, kv.keys, INT64_MAX, head_dim, static_cast<uint64_t>(kv.row_bytes)};
  }
  void score(int64_t first, int64_t n) {
    switch (kv.key_type) {
      case Type::Q8_0:
        return score_blocks<V, T, Q8_0<V>>(keys(), first, n, rows, n_queries, scratch, state);
      case Type::Q4_0:
        return score_blocks<V, T, Q4_0<V>>(keys(), first, n, rows, n_queries, scratch, state);
      default:
        transpose_rows<V, F16Loader<V>>(kv.keys + first * kv.row_bytes,
                                        static_cast<uint64_t>(kv.row_bytes), n, head_dim, scratch);
        score_tile<T>(queries, n_queries, scratch, head_dim, state);
    }
  }
  void gather(int64_t first, int64_t n) const {
    const uint8_t* v = kv.values + first * kv.row_bytes;
    switch (kv.value_type) {
      case Type::Q8_0:
        return gather_blocks<V, Q8_0Values<V>>(queries, n_queries, state, v, kv.row_bytes, n,
                                               head_dim);
      case Type::Q4_0:
        return gather_blocks<V, Q4_0Values<V>>(queries, n_queries, state, v, kv.row_bytes, n,
                                               head_dim);
      default:
        return gather_halves<V>(queries, n_queries, state, v, kv.row_bytes, n, head_dim);
    }
  }
};

template <class V, class T>
void attend_batch(const AttendQuery* queries, int64_t n_queries, const KvRows& kv, int64_t head_dim,
                  float scale, float* scratch) {
  Attention<V, T> attention{queries, n_queries, kv, head_dim, scratch, {}, {}};
  AttendState& state = attention.state;
  int64_t begin = queries[0].begin, end = queries[0].end;
  for (int64_t i = 0; i < n_queries; ++i) {
    if (queries[i].begin < begin) begin = queries[i].begin;
    if (queries[i].end > end) end = queries[i].end;
    state.largest[i] = -__builtin_inff(), state.total[i] = 0;
    for (int64_t d = 0; d < head_dim; ++d) queries[i].out[d] = 0;
  }
  if (kv.key_type != Type::F16)
    prepare_queries<V>(queries, n_queries, head_dim, scratch, attention.rows);
  for (int64_t first = begin; first < end; first += kPositions) {
    const int64_t n = end - first < kPositions ? end - first : kPositions;
    attention.score(first, n);
    for (int64_t i = 0; i < n_queries; ++i) {
      const bool any = queries[i].begin < first + n && queries[i].end > first;
      if (any)
        weigh<V>(queries[i], first, head_dim, scale, state.weights[i], state.largest[i],
                 state.total[i]);
      else
        for (float& weight : state.weights[i]) weight = 0;
    }
    attention.gather(first, n);
  }
  for (int64_t i = 0; i < n_queries; ++i) {
    const float inverse = state.total[i] > 0 ? 1 / state.total[i] : 0;
    for (int64_t d = 0; d < head_dim; ++d) queries[i].out[d] *= inverse;
  }
}

template <class V, class T>
void attend(const AttendQuery* queries, int64_t n_queries, const KvRows& kv, int64_t head_dim,
            float scale, float* scratch) {
  for (int64_t i = 0; i < n_queries; i += kQueries)
    attend_batch<V, T>(queries + i, n_queries - i < kQueries ? n_queries - i : kQueries, kv,
                       head_dim, scale, scratch);
}

}  // namespace enxuto::generic
