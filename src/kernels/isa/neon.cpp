// Any processor of Armv8: 8-bit products in pairs, summed in 16 bits, then in 32.
#include "kernels/generic/make_table.h"
#include "kernels/isa/neon_vectors.h"

namespace enxuto {

constinit const KernelTable kNeonKernels = generic::make_table<Neon<false>, Neon<false>>("neon");

}  // namespace enxuto
