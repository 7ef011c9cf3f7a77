// Processors with AVX-512 (F, BW, DQ, VL) and VNNI.
#include "kernels/generic/make_table.h"
#include "kernels/isa/avx512_vectors.h"

namespace enxuto {

constinit const KernelTable kAvx512VnniKernels =
    generic::make_table<Avx512Vnni, Avx512Tile>("avx512vnni");

}  // namespace enxuto
