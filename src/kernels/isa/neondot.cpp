// Processors of Armv8 with SDOT: four 8-bit products a lane in one instruction.
#include "kernels/generic/make_table.h"
#include "kernels/isa/neon_vectors.h"

namespace enxuto {

constinit const KernelTable kNeonDotKernels =
    generic::make_table<Neon<true>, Neon<true>>("neondot");

}  // namespace enxuto
