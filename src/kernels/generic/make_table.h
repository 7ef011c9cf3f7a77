// Fills a KernelTable: V are the vectors of an instruction set, T those of its tiles.
#pragma once

#include <concepts>

#include "kernels/generic/attend.h"
#include "kernels/generic/backward.h"
#include "kernels/generic/cache_row.h"
#include "kernels/generic/elementwise.h"
#include "kernels/generic/float_rows.h"
#include "kernels/generic/learning.h"
#include "kernels/generic/peak.h"
#include "kernels/generic/product.h"
#include "kernels/generic/rescaled_tile.h"
#include "kernels/generic/row_dot.h"
#include "kernels/generic/tile.h"
#include "kernels/generic/with_format.h"
#include "kernels/tables.h"

namespace enxuto::generic {

template <class V>
bool reads_codes(Type type) {
  return with_format<V>(type, []<class F>() {});
}

// Whether V has a way of its own with few tokens; it may decline.
template <class V, class F>
concept OwnRows = requires(const MatrixView& w, const PreparedRow* x, float* y) {
  { V::template few_own_tokens<F>(w, 0, 0, x, 0, y, 0, y) } -> std::same_as<bool>;
};

template <class V, class F>
bool own_rows(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
              int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
  if constexpr (OwnRows<V, F>)
    return V::template few_own_tokens<F>(w, begin, end, x, n_tokens, y, y_stride, scratch);
  return false;
}

template <class V, class T>
void matmul_rows(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                 int64_t n_tokens, TileWeights weights, float* y, int64_t y_stride,
                 float* scratch) {
  switch (w.type) {
    case Type::F32:
      return matmul_floats<V, T, F32Loader<V>>(w, begin, end, x, n_tokens, y, y_stride, scratch);
    case Type::F16:
      return matmul_floats<V, T, F16Loader<V>>(w, begin, end, x, n_tokens, y, y_stride, scratch);
    case Type::BF16:
      return matmul_floats<V, T, BF16Loader<V>>(w, begin, end, x, n_tokens, y, y_stride, scratch);
    case Type::SF16:
      return matmul_floats<V, T, SF16Loader<V>>(w, begin, end, x, n_tokens, y, y_stride, scratch);
    default:
      break;
  }
  with_format<V>(w.type, [&]<class F>() {
    if constexpr (Rescales<V, F>)
      if (n_tokens >= T::kTileTokens && weights == TileWeights::kRescaled)
        return many_tokens<V, T, F, RescaledTiles<V, T, F>>(w, begin, end, x, n_tokens, y, y_stride,
                                                            scratch);
    if (n_tokens >= T::kTileTokens)
      return many_tokens<V, T, F>(w, begin, end, x, n_tokens, y, y_stride, scratch);
    if (!own_rows<V, F>(w, begin, end, x, n_tokens, y, y_stride, scratch))
      few_tokens<V, F>(w, begin, end, x, n_tokens, y, y_stride);
  });
}

template <class V, class T>
constexpr KernelTable make_table(const char* isa) {
  return {
      .isa = isa,
      .prepare = prepare<V>,
      .reads_codes = reads_codes<V>,
      .matmul_rows = matmul_rows<V, T>,
      .multiplies_bf16 = [](Type, int64_t, int64_t) { return false; },
      .matmul_rows_bf16 = nullptr,
      .add_product = add_product<V, T>,
      .rms_norm = rms_norm<V>,
      .layer_norm = layer_norm<V>,
      .add = add<V>,
      .silu_mul = silu_mul<V>,
      .gelu_mul = gelu_mul<V>,
      .gelu = gelu<V>,
      .softmax = softmax<V>,
      .attend = attend<V, T>,
      .encode_row = encode_row<V>,
      .rotate = rotate<V>,
      .largest = largest<V>,
      .sum_exponentials = sum_exponentials<V>,
      .exponentials = exponentials<V>,
      .dot = dot<V>,
      .attention_gradient = attention_gradient<V>,
      .rms_norm_gradient = rms_norm_gradient<V>,
      .silu_mul_gradient = silu_mul_gradient<V>,
      .gelu_mul_gradient = gelu_mul_gradient<V>,
      .gelu_gradient = gelu_gradient<V>,
      .adam_step = adam_step<V>,
      .sgd_step = sgd_step<V>,
      .encode_mean = encode_mean<V>,
      .decode_mean = decode_mean<V>,
      .encode_square = encode_square<V>,
      .decode_square = decode_square<V>,
      .round_to_bf16 = round_to_bf16<V>,
      .round_by_chance = round_by_chance<V>,
      .multiply_codes = multiply_codes<T>,
  };
}

}  // namespace enxuto::generic
