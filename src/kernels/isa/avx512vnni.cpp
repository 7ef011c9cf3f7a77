// AVX-512 VNNI on 256-bit registers: one instruction for 32 byte products summed by fours.
#include <immintrin.h>

namespace enxuto {
namespace {

inline __m256i dot_u8s8(__m256i u, __m256i s) {
  return _mm256_dpbusd_epi32(_mm256_setzero_si256(), u, s);
}
inline __m256i dot_s8s8(__m256i w, __m256i x) {
  return dot_u8s8(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}

}  // namespace
}  // namespace enxuto

#include "kernels/isa/x86.h"

namespace enxuto {
const KernelTable kAvx512VnniKernels = ENXUTO_X86_TABLE("avx512vnni");
}  // namespace enxuto
