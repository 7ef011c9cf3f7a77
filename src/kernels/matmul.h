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
  MatmulBuffers(uint8_t* memory, int64_t max_tokens, int64_t max_columns, int n_threads);

  PreparedRow* rows;  // (max_tokens)
  int8_t* codes;
  float* scales;
  float* sums;
  float* scratch;  // (n_threads, max_columns)
  int64_t max_tokens, max_columns;
};

// x: (n_tokens, columns), rows x_stride floats apart; all jobs have that many columns.
void matmul(const KernelTable& k, ThreadTeam& team, MatmulBuffers& buffers, const float* x,
            int64_t x_stride, int64_t n_tokens, std::span<const MatmulJob> jobs);

}  // namespace enxuto
