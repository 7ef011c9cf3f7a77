// Matrices that meet the float activations: F32, F16, BF16, SF16. A loader L knows how to read
// eight values, or one; or a block of 32. Few tokens: dot products, row after row; many: a tile of
// sixteen rows, transposed to floats once.
#pragma once

#include "kernels/generic/sparse.h"
#include "kernels/kernels.h"

namespace enxuto::generic {

inline constexpr int64_t kFloatRows = 16;
inline constexpr int64_t kFloatColumns = 512;
static_assert(kFloatColumns * kFloatRows <= kKernelScratchFloats);

template <class V>
struct F32Loader {
  static constexpr int kValues = 1, kBytes = 4;
  static auto eight(const uint8_t* p) { return V::load(reinterpret_cast<const float*>(p)); }
  static float one(const uint8_t* p) {
    float value;
    __builtin_memcpy(&value, p, sizeof value);
    return value;
  }
};

template <class V>
struct F16Loader {
  static constexpr int kValues = 1, kBytes = 2;
  static auto eight(const uint8_t* p) { return V::load_f16(p); }
  static float one(const uint8_t* p) { return V::first(V::broadcast_f16(p)); }
};

template <class V>
struct BF16Loader {
  static constexpr int kValues = 1, kBytes = 2;
  static auto eight(const uint8_t* p) { return V::load_bf16(p); }
  static float one(const uint8_t* p) {
    const uint32_t bits = static_cast<uint32_t>(p[0] | p[1] << 8) << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
};

template <class V>
struct SF16Loader {
  static constexpr int kValues = 32, kBytes = 36;
  // last: nothing may be read behind it.
  static void block(const uint8_t* b, bool last, typename V::Floats (&values)[4]) {
    uint8_t copy[64];
    if (last) b = static_cast<const uint8_t*>(__builtin_memcpy(copy, b, kBytes));
    uint32_t bitmap;
    __builtin_memcpy(&bitmap, b, sizeof bitmap);
    expand_halves<V>(b + 4, bitmap, values);
  }
};
template <class L>
concept LoadsBlocks = L::kValues == 32;

template <class V, class L>
float float_dot(const uint8_t* w, const float* x, int64_t n) {
  constexpr int kSums = 4;  // fewer would wait for one another
  typename V::Floats sums[kSums] = {V::zero(), V::zero(), V::zero(), V::zero()};
  int64_t i = 0;
  for (; i + 8 * kSums <= n; i += 8 * kSums)
#pragma GCC unroll 4
    for (int k = 0; k < kSums; ++k)
      sums[k] = V::fma(L::eight(w + (i + 8 * k) * L::kBytes), V::load(x + i + 8 * k), sums[k]);
  for (; i + 8 <= n; i += 8) sums[0] = V::fma(L::eight(w + i * L::kBytes), V::load(x + i), sums[0]);
  float sum = V::sum(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
  for (; i < n; ++i) sum += L::one(w + i * L::kBytes) * x[i];
  return sum;
}

// Added up in the same order: sparse and dense rows of the same values give the same bits.
template <class V, LoadsBlocks L>
float float_dot(const uint8_t* w, const float* x, int64_t n) {
  typename V::Floats sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
  for (const float* end = x + n; x != end; x += L::kValues, w += L::kBytes) {
    typename V::Floats values[4];
    L::block(w, x + L::kValues == end, values);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sums[k] = V::fma(values[k], V::load(x + 8 * k), sums[k]);
  }
  return V::sum(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
}

// Columns of sixteen rows -> tile[column][row]; zeros where the matrix has no more rows.
template <class V, class L>
void transpose_rows(const uint8_t* w, uint64_t row_bytes, int64_t n_rows, int64_t n, float* tile) {
  int64_t c = 0;
  for (; c + 8 <= n; c += 8)
    for (int64_t half = 0; half < kFloatRows; half += 8) {
      typename V::Floats a[8];
      for (int64_t r = 0; r < 8; ++r)
        a[r] = half + r < n_rows
                   ? L::eight(w + static_cast<uint64_t>(half + r) * row_bytes + c * L::kBytes)
                   : V::zero();
      V::transpose(a);
#pragma GCC unroll 16
      for (int i = 0; i < 8; ++i) V::store(tile + (c + i) * kFloatRows + half, a[i]);
    }
  for (; c < n; ++c)
    for (int64_t r = 0; r < kFloatRows; ++r)
      tile[c * kFloatRows + r] =
          r < n_rows ? L::one(w + static_cast<uint64_t>(r) * row_bytes + c * L::kBytes) : 0;
}

template <class V, LoadsBlocks L>
void transpose_rows(const uint8_t* w, uint64_t row_bytes, int64_t n_rows, int64_t n, float* tile) {
  for (int64_t c = 0; c < n; c += L::kValues, w += L::kBytes)
    for (int64_t half = 0; half < kFloatRows; half += 8) {
      typename V::Floats a[4][8];
      for (int64_t r = 0; r < 8; ++r) {
        typename V::Floats values[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
        if (half + r < n_rows)
          L::block(w + static_cast<uint64_t>(half + r) * row_bytes, c + L::kValues == n, values);
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) a[k][r] = values[k];
      }
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        V::transpose(a[k]);
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) V::store(tile + (c + 8 * k + i) * kFloatRows + half, a[k][i]);
      }
    }
}

// sums[t] (16 of them) += tile (n x 16), column by column, times x[t]
template <class T, int kTokens>
void tile_fma(const float* tile, int64_t n, const float* const* x, float* const* sums) {
  constexpr int kVectors = kFloatRows / T::kLanes;
  typename T::Floats sum[kVectors][kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) sum[v][t] = T::load(sums[t] + v * T::kLanes);
  for (int64_t c = 0; c < n; ++c, tile += kFloatRows) {
    typename T::Floats w[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) w[v] = T::load(tile + v * T::kLanes);
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const auto value = T::broadcast(x[t] + c);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) sum[v][t] = T::fma(w[v], value, sum[v][t]);
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) T::store(sums[t] + v * T::kLanes, sum[v][t]);
}

// y (kTokens, n_rows), rows y_stride floats apart, += what tile_fma adds; n_rows of sixteen.
template <class T, int kTokens>
void add_tile(const float* tile, int64_t n, const float* const* x, int64_t n_rows, float* y,
              int64_t y_stride) {
  alignas(64) float edge[kTokens][kFloatRows];
  const bool whole = n_rows == kFloatRows;
  float* sums[kTokens];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
    sums[t] = whole ? y + t * y_stride : edge[t];
    for (int64_t r = 0; !whole && r < kFloatRows; ++r)
      edge[t][r] = r < n_rows ? y[t * y_stride + r] : 0;
  }
  tile_fma<T, kTokens>(tile, n, x, sums);
  if (whole) return;
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t)
    for (int64_t r = 0; r < n_rows; ++r) y[t * y_stride + r] = edge[t][r];
}

// body.operator()<kFew>(first) for handfuls of what T's registers hold, and for the few left.
template <class T, class Body>
void in_handfuls(int64_t n, const Body& body) {
  int64_t i = 0;
  const auto take = [&]<int kFew>() {
    for (; i + kFew <= n; i += kFew) body.template operator()<kFew>(i);
  };
  take.template operator()<T::kFloatTokens>();
  take.template operator()<4>();
  take.template operator()<2>();
  take.template operator()<1>();
}

// Many tokens.
template <class V, class T, class L>
void float_tiles(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                 int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  for (int64_t r = begin; r < end; r += kFloatRows) {
    const int64_t n_rows = end - r < kFloatRows ? end - r : kFloatRows;
    for (int64_t c = 0; c < w.columns; c += kFloatColumns) {
      const int64_t n = w.columns - c < kFloatColumns ? w.columns - c : kFloatColumns;
      transpose_rows<V, L>(
          w.data + static_cast<uint64_t>(r) * w.row_bytes + c / L::kValues * L::kBytes, w.row_bytes,
          n_rows, n, scratch);
      float* out = y + r - begin;
      in_handfuls<T>(n_tokens, [&]<int kFew>(int64_t t) {
        const float* values[kFew];
        for (int i = 0; i < kFew; ++i) {
          values[i] = x[t + i].values + c;
          for (int64_t row = 0; c == 0 && row < n_rows; ++row) out[(t + i) * y_stride + row] = 0;
        }
        add_tile<T, kFew>(scratch, n, values, n_rows, out + t * y_stride, y_stride);
      });
    }
  }
}

template <class V, class T, class L>
void matmul_floats(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                   int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  constexpr int kFew = 3;
  if (n_tokens > kFew)
    return float_tiles<V, T, L>(w, begin, end, x, n_tokens, y, y_stride, scratch);
  for (int64_t r = begin; r < end; ++r) {
    const uint8_t* row = w.data + static_cast<uint64_t>(r) * w.row_bytes;
    for (int64_t t = 0; t < n_tokens; ++t)
      y[t * y_stride + r - begin] = float_dot<V, L>(row, x[t].values, w.columns);
  }
}

}  // namespace enxuto::generic
