// Processors with AVX-512 that look up, pick, spread and multiply bytes in registers too (VBMI,
// VBMI2, GFNI, BMI2): Ice Lake, Zen 4 and later.
#include "kernels/generic/make_table.h"
#include "kernels/isa/vbmi_codebooks.h"
#include "kernels/isa/vbmi_fours.h"
#include "kernels/isa/vbmi_k_quants.h"

namespace enxuto {
namespace {

struct Avx512Vbmi : Avx512Vnni {
  // ---- stored values to the bits' places (generic/sparse.h)
  static Bytes expand_bytes(Bytes sixteen, uint32_t bitmap) {
    const Bytes once = _mm256_zextsi128_si256(_mm256_castsi256_si128(sixteen));
    return _mm256_maskz_expand_epi8(bitmap, once);
  }

  template <class F>
  static bool few_own_tokens(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                             int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
    const auto run = [&](int64_t floats, auto make, auto dot) {
      return few_made_tokens(w, begin, end, x, n_tokens, y, y_stride, scratch, floats, make, dot);
    };
    if constexpr (requires { LookedUp<F::kType>::kScales; })
      return run(spread_floats(w.columns), spread_row,
                 dot_looked_up<LookedUp<F::kType>, F::kBytes>);
    else if constexpr (requires { ByFields<F::kType>::kScales; })
      return run(spread_floats(w.columns), spread_row,
                 dot_by_fields<ByFields<F::kType>, F::kBytes>);
    else if constexpr (kInFours<F>)
      return run(fours_floats(w.columns), four_row<generic::Unsigned<Avx512Vnni, F>::kBias>,
                 dot_in_fours<F>);
    else
      return false;
  }
};

}  // namespace

constinit const KernelTable kAvx512VbmiKernels =
    generic::make_table<Avx512Vbmi, Avx512Tile>("avx512vbmi");

}  // namespace enxuto
