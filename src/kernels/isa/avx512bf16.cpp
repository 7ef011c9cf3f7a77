// Processors with AVX-512 BF16 (Cooper Lake, Zen 4 and later): weights that are in bf16 meet many
// tokens in it, twice as many products at once as of floats. Formats of blocks have more by VNNI.
#include "kernels/isa/avx512bf16_vectors.h"
#include "kernels/tables.h"

namespace enxuto {
namespace {

bool multiplies_bf16(Type type, int64_t columns, int64_t n_tokens) {
  return type == Type::BF16 && columns % 32 == 0 && n_tokens >= Avx512PairTile::kPairTokens;
}

}  // namespace

constinit const Bf16Kernels kAvx512Bf16 = {"avx512bf16", multiplies_bf16,
                                           generic::matmul_rows_bf16<Avx512Vnni, Avx512PairTile>};

}  // namespace enxuto
