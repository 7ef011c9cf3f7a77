// The maths of a forward pass, chosen once at start for the machine's instruction set.
//
// A unit per instruction set (isa/) fills a KernelTable; reference/ is the scalar oracle that all
// are compared with. ENXUTO_ISA=reference|avx2|avx512vnni pins one. Kernels cannot fail: shapes are
// checked by the caller.
#pragma once

#include <cstdint>
#include <span>

#include "codecs/codec.h"

namespace enxuto {

// A weight matrix as it lies in the file: `rows` rows of `columns` values, row_bytes apart.
struct MatrixView {
  Type type;
  const uint8_t* data;
  int64_t rows, columns;
  uint64_t row_bytes;
};

// Activations prepared for dot products: each token's row in 8-bit codes, one scale per 32 values,
// beside its floats. sums lets a format with an offset or a minimum be an unsigned dot product plus
// a correction.
//   x[i] ~ scales[i / 32] * codes[i];   sums[j] = scales[j / 2] * (codes[16 j] + … + codes[16 j +
//   15])
// codes, scales and sums exist only where columns is a multiple of 32; formats with blocks need
// nothing else.
struct PreparedRow {
  const float* values;  // (columns)
  int8_t* codes;        // (columns)
  float* scales;        // (columns / 32)
  float* sums;          // (columns / 16)
};

// A key or value row of the cache is f16. All pointers to floats may be unaligned.
struct KernelTable {
  const char* isa;

  // Fills codes, scales and sums of one row (round to nearest, scale = max |x| / 127).
  void (*prepare)(int64_t columns, const PreparedRow& row);

  // y[t * y_stride + r - begin] = dot(row r of w, x[t]) for r in [begin, end), t in [0, n_tokens).
  // scratch: w.columns floats of the calling thread's own.
  using MatmulRows = void (*)(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                              int64_t n_tokens, float* y, int64_t y_stride, float* scratch);
  MatmulRows (*matmul_rows)(
      Type type);  // never null: formats without a kernel of their own decode into scratch

  // y = x / sqrt(mean(x^2) + epsilon) * weight
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t n, float* y);
  void (*add)(const float* x, int64_t n, float* y);                           // y += x
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* y);  // silu(gate) * up
  void (*gelu_mul)(const float* gate, const float* up, int64_t n, float* y);  // gelu, tanh form
  // One head's attention over cached rows, streaming softmax:
  // out (head_dim) = softmax(scale * q . k[p]) . v[p], p in [begin, end), rows kv_stride halves
  // apart.
  void (*attend)(const float* q, const uint16_t* k, const uint16_t* v, int64_t kv_stride,
                 int64_t begin, int64_t end, int64_t head_dim, float scale, float* out);
  void (*to_f16)(const float* x, int64_t n, uint16_t* y);
};

const KernelTable& kernels();  // the machine's best, or the pinned one
std::span<const KernelTable* const>
available_kernels();             // those that this machine can run, reference first
const char* kernel_pin_error();  // null, or what is wrong with ENXUTO_ISA

}  // namespace enxuto
