// AVX2 with FMA and F16C: byte products by pairs into 16 bits, then by fours into 32.
#include <immintrin.h>

namespace enxuto {
namespace {

// u <= 64 keeps the 16-bit pairs from saturating; the formats' codes are at most 63.
inline __m256i dot_u8s8(__m256i u, __m256i s) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), _mm256_set1_epi16(1));
}

// |w| <= 128 and |x| <= 127: a pair is at most 32,512.
inline __m256i dot_s8s8(__m256i w, __m256i x) {
  return dot_u8s8(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}

}  // namespace
}  // namespace enxuto

#include "kernels/isa/x86.h"

namespace enxuto {
const KernelTable kAvx2Kernels = ENXUTO_X86_TABLE("avx2");
}  // namespace enxuto
