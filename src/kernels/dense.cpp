#include "kernels/dense.h"

#include "platform/cpu.h"
#include "platform/library.h"

namespace enxuto {

Result<Dense> Dense::load() {
  ASSIGN_OR_RETURN(const SharedLibrary library, SharedLibrary::open("libdnnl.so.2", "libdnnl2"));
  Dense dense;
  TRY(library.find("dnnl_sgemm", &dense.gemm_));
  // oneDNN's own threads, of the OpenMP that it brings, would spin against ours.
  TRY(library.find("omp_set_num_threads", &dense.limit_threads_));
  if (cpu_features().avx512bf16) TRY(library.find("dnnl_gemm_bf16bf16f32", &dense.rounded_gemm_));
  return dense;
}

void Dense::limit_threads() const {
  thread_local bool limited = false;
  if (!limited) limit_threads_(1), limited = true;
}

void Dense::multiply(int64_t m, int64_t n, int64_t k, float alpha, const DenseMatrix& a,
                     const DenseMatrix& b, float beta, float* c, int64_t c_stride) const {
  limit_threads();
  gemm_(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, alpha, a.data, a.stride,
        b.data, b.stride, beta, c, c_stride);
}

void Dense::multiply(int64_t m, int64_t n, int64_t k, const RoundedMatrix& a,
                     const RoundedMatrix& b, float beta, float* c, int64_t c_stride) const {
  limit_threads();
  rounded_gemm_(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, 1, a.data, a.stride,
                b.data, b.stride, beta, c, c_stride);
}

}  // namespace enxuto
