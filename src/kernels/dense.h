// Dense products of f32 matrices, by oneDNN (libdnnl2), which is loaded when it is first asked for:
// what compress and training need, and inference does not.
#pragma once

#include <cstdint>

#include "base/status.h"

namespace enxuto {

// A row-major matrix, rows `stride` floats apart.
struct DenseMatrix {
  const float* data;
  int64_t stride;
  bool transposed = false;  // stands for its transpose
};

// The same of numbers in bf16.
struct RoundedMatrix {
  const uint16_t* data;
  int64_t stride;
  bool transposed = false;
};

class Dense {
 public:
  static Result<Dense> load();

  // c = beta * c + alpha * a * b: a is (m, k), b is (k, n), c (m, n) with rows c_stride apart. In
  // the calling thread alone; any number of threads may call at the same time.
  void multiply(int64_t m, int64_t n, int64_t k, float alpha, const DenseMatrix& a,
                const DenseMatrix& b, float beta, float* c, int64_t c_stride) const;
  // c = beta * c + a * b, where the processor multiplies bf16 (sums are f32).
  void multiply(int64_t m, int64_t n, int64_t k, const RoundedMatrix& a, const RoundedMatrix& b,
                float beta, float* c, int64_t c_stride) const;
  bool multiplies_bf16() const { return rounded_gemm_ != nullptr; }

 private:
  void limit_threads() const;
  using RoundedGemm = int(char, char, int64_t, int64_t, int64_t, float, const uint16_t*, int64_t,
                          const uint16_t*, int64_t, float, float*, int64_t);
  using Gemm = int(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t,
                   const float*, int64_t, float, float*, int64_t);
  Gemm* gemm_ = nullptr;
  RoundedGemm* rounded_gemm_ = nullptr;  // null: the processor has no such instructions
  void (*limit_threads_)(int) = nullptr;
};

}  // namespace enxuto
