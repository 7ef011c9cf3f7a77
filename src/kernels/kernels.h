// The maths of a forward pass, chosen once at start for the machine's instruction set.
//
// A unit per instruction set (isa/) fills a KernelTable; reference/ is the scalar oracle that all
// are compared with. ENXUTO_ISA=reference|avx2|avx512vnni|avx512vbmi|avx512bf16|amx|neon|neondot
// pins one. Kernels cannot fail: shapes are checked by the caller.
#pragma once

#include <cstdint>
#include <span>

#include "codecs/codec.h"
#include "kernels/optimizer_steps.h"

namespace enxuto {

// A weight matrix as it lies in the file: `rows` rows of `columns` values, row_bytes apart.
struct MatrixView {
  Type type;
  const uint8_t* data;
  int64_t rows, columns;
  uint64_t row_bytes;
};

// Activations prepared for dot products: each token's row in 8-bit codes, a scale for each 32
// values, beside its floats. sums lets a format with an offset or a minimum be an unsigned dot
// product plus a correction.
//   x[i] ~ scales[i / 32] * codes[i]
//   sums[j] = scales[j / 2] * (codes[16 j] + … + codes[16 j + 15])
//   shifts[j] = -128 * (codes[32 j] + … + codes[32 j + 31])
// codes, scales and sums exist only where columns is a multiple of 32; formats with blocks need
// nothing else.
struct PreparedRow {
  const float* values;  // (columns)
  int8_t* codes;        // (columns)
  float* scales;        // (columns / 32)
  float* sums;          // (columns / 16)
  int32_t* shifts;      // (columns / 32)
};

// What becomes of super-blocks' weights that meet many tokens. kRescaled: they may be rounded to 8
// bits with one scale for up to 512 columns of a row, each by at most 0.6 % of the largest value
// that the blocks' scales allow.
enum class TileWeights { kExact, kRescaled };

// One query over the cached rows [begin, end) of its key/value head.
struct AttendQuery {
  const float* q;  // (head_dim)
  float* out;      // (head_dim)
  int64_t begin, end;
};

// Cached keys and values of one head: F16, Q8_0 or Q4_0 rows of head_dim values, row_bytes apart.
struct KvRows {
  Type key_type, value_type;
  const uint8_t *keys, *values;
  int64_t row_bytes;
};

// c = c + scale * a * b of few rows m: a is (m, k), b (k, n), or (n, k) where it is transposed, c
// (m, n); their rows lie `stride` floats apart.
struct FewRowsProduct {
  int64_t m, n, k;
  float scale;
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_stride;
  bool b_transposed;
  float* c;
  int64_t c_stride;
};

// One query's scores s against some keys: its shares of them are e^(s - log_sum).
struct AttentionRow {
  float log_sum;
  float along;  // out . dout of the query
  float scale;  // of q . k in a score
};

// Floats of scratch, 64-byte aligned, that a thread hands to kernels that ask for it.
inline constexpr int64_t kKernelScratchFloats = 16384;
// Groups of activations whose largest is not above this are zeros to prepare.
inline constexpr float kSmallestActivation = 0x1p-100f;
// Codes that multiply_codes reads.
inline constexpr int kPeakCodes = 512;
// The largest head_dim that attend takes.
inline constexpr int64_t kMaxHeadDim = 512;

// Pointers to floats and weights may be unaligned.
struct KernelTable {
  const char* isa;

  // Fills codes, scales and sums of one row (round to nearest, scale = max |x| / 127). Every
  // `sharing` values have the same scale: a multiple of 32 that divides columns. Where they hold a
  // NaN or an infinity their scale is none either, so that no damage is lost.
  void (*prepare)(int64_t columns, int64_t sharing, const PreparedRow& row);
  // Whether matmul_rows of this type reads the codes; where false, prepare is not needed.
  bool (*reads_codes)(Type type);

  // y[t * y_stride + r - begin] = dot(row r of w, x[t]) for r in [begin, end), t in [0, n_tokens).
  // A value does not depend on how rows are split into calls.
  void (*matmul_rows)(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                      int64_t n_tokens, TileWeights weights, float* y, int64_t y_stride,
                      float* scratch);

  // Whether products of so many tokens with this type may be made in bf16, where weights may be
  // rescaled: columns in pairs, sums in f32.
  bool (*multiplies_bf16)(Type type, int64_t columns, int64_t n_tokens);
  // As matmul_rows, of tokens' rows x in bf16, x_stride apart, at least sixteen of them or as many
  // as multiplies_bf16 takes; of BF16 and all types of blocks, rounded to bf16; columns is a
  // multiple of 32. Null: the table has none.
  void (*matmul_rows_bf16)(const MatrixView& w, int64_t begin, int64_t end, const uint16_t* x,
                           int64_t x_stride, int64_t n_tokens, float* y, int64_t y_stride,
                           float* scratch);

  // Of f32 alone, as rounding hands errors on; b is read once.
  void (*add_product)(const FewRowsProduct& product);

  // y = x / sqrt(mean(x^2) + epsilon) * weight
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t n, float* y);
  // y = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float epsilon,
                     int64_t n, float* y);
  void (*add)(const float* x, int64_t n, float* y);                           // y += x
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* y);  // silu(gate) * up
  void (*gelu_mul)(const float* gate, const float* up, int64_t n, float* y);  // gelu, tanh form
  void (*gelu)(const float* x, int64_t n, float* y);                          // the same
  void (*softmax)(float* x, int64_t n);                                       // in place

  // Attention of queries that share one key/value head, streaming softmax:
  //   out = softmax over p in [begin, end) of (scale * q . k[p]) . v[p];   zeros where none
  // Blocks of keys meet 8-bit codes of q, blocks of values are widened in registers. Fast when
  // handed many queries at once: the heads of a group, times a few neighbouring tokens.
  void (*attend)(const AttendQuery* queries, int64_t n_queries, const KvRows& kv, int64_t head_dim,
                 float scale, float* scratch);
  // One row for the cache: F16, or Q8_0 and Q4_0 (n a multiple of 32) with a scale that fits well.
  void (*encode_row)(Type type, const float* x, int64_t n, uint8_t* y);
  // x = H x in place, H the normalized Hadamard matrix, which is its own inverse; over pieces of
  // the largest power of two that divides n. It spreads outliers and keeps dot products.
  void (*rotate)(float* x, int64_t n);

  // ---- of losses, and of the way back: from the gradient by what came out of a step (dy) to that
  // by what went in. Sums are made of float lanes over 64 values, these in double.
  float (*largest)(const float* x, int64_t n);  // may drop a NaN, which the exponentials tell of
  double (*sum_exponentials)(const float* x, int64_t n, float top);  // of e^(x - top)
  // x = scale * e^(x - top). Returns the sum of e^(x - top).
  double (*exponentials)(float* x, int64_t n, float top, float scale);
  double (*dot)(const float* x, const float* y, int64_t n);
  // Scores become shares p; gradients by shares become those by what the scale is multiplied with:
  // scale p (gradient - along).
  void (*attention_gradient)(float* scores, float* gradients, int64_t n, const AttentionRow& row);
  // Of rms_norm; all (n). dx may be dy.
  void (*rms_norm_gradient)(const float* x, const float* weight, float epsilon, int64_t n,
                            const float* dy, float* dx);
  // Gate and up become their gradients.
  void (*silu_mul_gradient)(float* gate, float* up, const float* dy, int64_t n);
  void (*gelu_mul_gradient)(float* gate, float* up, const float* dy, int64_t n);
  void (*gelu_gradient)(float* x, const float* dy, int64_t n);  // x becomes its gradient

  // ---- of learning (optimizer_steps.h), over some weights of a row. What is kept in fewer bits is
  // rounded up or down by chance, so that small steps are not lost but made now and then.
  void (*adam_step)(const AdamRates& rates, const float* g, int64_t n, float* w, float* m,
                    float* v);
  void (*sgd_step)(const SgdRates& rates, const float* g, int64_t n, float* w, float* m);
  // Moments of AdamW in 8 bits: a scale for a block of n, codes whose squares are in proportion to
  // the values (8-bit optimizers, Dettmers et al., 2022, have another map). Of v the root is kept,
  // and never rounded down to nothing. Where a value is a NaN the scale is one.
  void (*encode_mean)(const float* m, int64_t n, const Chance& chance, int8_t* codes, float* scale);
  void (*decode_mean)(const int8_t* codes, float scale, int64_t n, float* m);
  void (*encode_square)(const float* v, int64_t n, const Chance& chance, uint8_t* codes,
                        float* scale);
  void (*decode_square)(const uint8_t* codes, float scale, int64_t n, float* v);
  void (*round_to_bf16)(const float* values, int64_t n, uint16_t* rounded);  // to nearest even
  void (*round_by_chance)(const float* values, int64_t n, const Chance& chance, uint16_t* rounded);

  // 8-bit multiply-adds as fast as they can be, for measuring: codes (kPeakCodes), none negative
  // and none above 3, by one another, added up. Returns how many products there were.
  int64_t (*multiply_codes)(const int8_t* codes, int64_t rounds, float* sum);
};

const KernelTable& kernels();  // the machine's best, or the pinned one
std::span<const KernelTable* const>
available_kernels();             // those that this machine can run, reference first
const char* kernel_pin_error();  // null, or what is wrong with ENXUTO_ISA

}  // namespace enxuto
