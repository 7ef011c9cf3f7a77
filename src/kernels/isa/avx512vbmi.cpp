// Processors with AVX-512 that look up and pick bytes in registers too (VBMI, BMI2): Ice Lake,
// Zen 4 and later.
#include "kernels/generic/make_table.h"
#include "kernels/isa/vbmi_codebooks.h"

namespace enxuto {
namespace {

struct Avx512Vbmi : Avx512Vnni {
  template <class F>
    requires requires(const uint8_t* b) { LookedUp<F::kType>::block(b); }
  static float dot_codebook_row(const uint8_t* w, int64_t columns, const PreparedRow& x) {
    return dot_looked_up<LookedUp<F::kType>, F::kBytes>(w, columns, x);
  }
};

}  // namespace

constinit const KernelTable kAvx512VbmiKernels =
    generic::make_table<Avx512Vbmi, Avx512Tile>("avx512vbmi");

}  // namespace enxuto
