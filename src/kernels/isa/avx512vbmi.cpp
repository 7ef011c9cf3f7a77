// Processors with AVX-512 that look up, pick and multiply bytes in registers too (VBMI, GFNI,
// BMI2): Ice Lake, Zen 4 and later.
#include "kernels/generic/make_table.h"
#include "kernels/isa/vbmi_codebooks.h"
#include "kernels/isa/vbmi_k_quants.h"

namespace enxuto {
namespace {

struct Avx512Vbmi : Avx512Vnni {
  template <class F>
  static bool few_own_tokens(const MatrixView& w, int64_t begin, int64_t end, const PreparedRow* x,
                             int64_t n_tokens, float* y, int64_t y_stride, float* scratch) {
    constexpr auto kType = F::kType;
    const auto run = [&](auto dot) {
      return few_spread_tokens(w, begin, end, x, n_tokens, y, y_stride, scratch, dot);
    };
    if constexpr (requires { LookedUp<kType>::kScales; })
      return run(dot_looked_up<LookedUp<kType>, F::kBytes>);
    else if constexpr (requires { ByFields<kType>::kScales; })
      return run(dot_by_fields<ByFields<kType>, F::kBytes>);
    else
      return false;
  }
};

}  // namespace

constinit const KernelTable kAvx512VbmiKernels =
    generic::make_table<Avx512Vbmi, Avx512Tile>("avx512vbmi");

}  // namespace enxuto
