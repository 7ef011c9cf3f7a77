// Matrix products shared by a team of threads: one preparation of the input, one barrier, any
// number of matrices that read the same input (q/k/v; gate/up).
#pragma once

#include <span>

#include "kernels/kernels.h"
#include "platform/threads.h"

namespace enxuto {

struct MatmulJob {
  MatrixView w;
  const float* bias;  // (rows), or null
  float* y;           // (n_tokens, rows), rows y_stride floats apart
  int64_t y_stride;
};

// Room for prepared activations and the threads' scratch: planned, never allocated here.
struct MatmulBuffers {
  static uint64_t bytes(int64_t max_tokens, int64_t max_columns, int n_threads);
  // memory: bytes(…) of them, 64-byte aligned
  MatmulBuffers(uint8_t* memory, int64_t max_tokens, int64_t max_columns, int n_threads);

  // For kernels called inside a parallel_for (attend): kKernelScratchFloats of that thread's own.
  float* thread_scratch(int thread) const { return scratch + thread * kKernelScratchFloats; }

  PreparedRow* rows;  // (max_tokens)
  // The input's codes, and what belongs to them; or all of it in bf16, in the same place.
  uint16_t* rounded;
  bool in_bf16 = false;
  int8_t* codes;
  float* scales;
  float* sums;
  int32_t* shifts;
  float* scratch;  // (n_threads, kKernelScratchFloats)
  int64_t max_tokens, max_columns;
};

// How exact products with many tokens are. kFastest: weights may be rescaled (TileWeights); kExact:
// as they are stored, added up in another order than with one token, which is slower; kOfOneToken:
// each token's result is, bit for bit, what it would be alone, which is slower still.
enum class Rounding { kFastest, kExact, kOfOneToken };

// Scales of the input's 8-bit codes: one for each so many values.
inline constexpr int64_t kFineScale = 32;
inline constexpr int64_t kInBf16 = -1;  // the input in bf16 instead

// x: (n_tokens, columns), rows x_stride floats apart; all jobs have that many columns. The result
// does not depend on the number of threads.
void matmul(const KernelTable& k, ThreadTeam& team, MatmulBuffers& buffers, const float* x,
            int64_t x_stride, int64_t n_tokens, std::span<const MatmulJob> jobs,
            Rounding rounding = Rounding::kExact);

// The same in two steps, for matrices that arrive one after the other. sharing: values that have a
// scale in common in the input's 8-bit codes; 0 where no matrix reads those; kInBf16 where each
// that would read them may multiply bf16 instead (multiplies_bf16, Rounding::kFastest).
void prepare_input(const KernelTable& k, ThreadTeam& team, MatmulBuffers& buffers, const float* x,
                   int64_t x_stride, int64_t columns, int64_t n_tokens, int64_t sharing);
void multiply(const KernelTable& k, ThreadTeam& team, MatmulBuffers& buffers, int64_t n_tokens,
              std::span<const MatmulJob> jobs, Rounding rounding);

}  // namespace enxuto
