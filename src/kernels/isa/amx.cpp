// Processors with AMX (Sapphire Rapids and later): all formats of blocks, and bf16, meet many
// tokens as matrices of bf16 numbers, 8,192 products an instruction.
#include "kernels/generic/tile_registers.h"
#include "kernels/isa/avx512bf16_vectors.h"
#include "kernels/tables.h"

namespace enxuto {
namespace {

// The eight registers. Assembly, since intrinsics want their number as a literal; only
// matmul_rows_bf16() configures them, and what it calls may touch them.
struct AmxRegisters {
  // As LDTILECFG reads it.
  struct alignas(64) Shapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
    constexpr Shapes() {
      for (int i = 0; i < 8; ++i) row_bytes[i] = 64, rows[i] = 16;
    }
  };
  static_assert(sizeof(Shapes) == 64);

  static void configure() {
    static constexpr Shapes shapes;
    asm volatile("ldtilecfg %0" : : "m"(shapes) : "memory");
  }
  static void release() { asm volatile("tilerelease" : : : "memory"); }
  template <int i>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(i));
  }
  template <int i>
  static void load(const void* from, int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(i) : "memory");
  }
  template <int i>
  static void store(void* to, int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(i) : "memory");
  }
  template <int c, int a, int b>
  static void add_products() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
  }
};

struct AmxTile : Avx512PairTile {
  static constexpr int64_t kPairTokens = generic::kRegisterTokens, kPairColumns = 512;

  template <class Tile>
  static void multiply_pairs(const Tile& tile, int64_t from, int64_t n, const uint16_t* x,
                             int64_t x_stride, int64_t n_tokens, int64_t n_rows, float* y,
                             int64_t y_stride) {
    generic::multiply_in_registers<AmxRegisters>(
        tile, n, x + from, x_stride, n_tokens, [&](const float* sums, int64_t t) {
          Floats sum[2][1] = {{load(sums)}, {load(sums + kLanes)}};
          generic::add_sums<AmxTile>(sum, from == 0, n_rows, y + t * y_stride, y_stride);
        });
  }
};

bool multiplies_bf16(Type type, int64_t columns, int64_t n_tokens) {
  return (type == Type::BF16 || generic::with_format<Avx512Vnni>(type, []<class F>() {})) &&
         columns % 32 == 0 && n_tokens >= AmxTile::kPairTokens;
}

void matmul_rows_bf16(const MatrixView& w, int64_t begin, int64_t end, const uint16_t* x,
                      int64_t x_stride, int64_t n_tokens, float* y, int64_t y_stride,
                      float* scratch) {
  AmxRegisters::configure();
  generic::matmul_rows_bf16<Avx512Vnni, AmxTile>(w, begin, end, x, x_stride, n_tokens, y, y_stride,
                                                 scratch);
  AmxRegisters::release();
}

}  // namespace

constinit const Bf16Kernels kAmx = {"amx", multiplies_bf16, matmul_rows_bf16};

}  // namespace enxuto
