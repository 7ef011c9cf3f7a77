// Products of many tokens in bf16 against the scalar reference, and the walk over AMX's registers.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/float16.h"
#include "kernels/generic/tile_registers.h"
#include "kernels/matrix_inputs.h"
#include "kernels/tables.h"

namespace enxuto {
namespace {

class Bf16Products : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& k = *GetParam();
};

// Numbers in bf16, rows further apart than they are long.
struct RoundedActivations {
  RoundedActivations(int64_t n_tokens, int64_t columns)
      : stride(columns + 32), values(static_cast<size_t>(n_tokens * stride)) {
    const auto exact = random_floats(values.size(), 21);
    for (size_t i = 0; i < exact.size(); ++i) values[i] = f32_to_bf16(exact[i]);
  }
  int64_t stride;
  std::vector<uint16_t> values;
};

std::vector<float> multiply_bf16(const KernelTable& k, const MatrixView& w, int64_t begin,
                                 int64_t end, const RoundedActivations& x, int64_t n_tokens) {
  Scratch scratch;
  std::vector<float> y(static_cast<size_t>(n_tokens * (end - begin)), NAN);
  k.matmul_rows_bf16(w, begin, end, x.values.data(), x.stride, n_tokens, y.data(), end - begin,
                     scratch.data());
  return y;
}

void expect_bf16_near_reference(const KernelTable& k, const Matrix& m, int64_t n_tokens) {
  const MatrixView& w = m.view;
  const RoundedActivations x(n_tokens, w.columns);
  const auto expected = multiply_bf16(kReferenceKernels, w, 0, w.rows, x, n_tokens);
  const auto got = multiply_bf16(k, w, 0, w.rows, x, n_tokens);
  std::vector<float> row(static_cast<size_t>(w.columns));
  for (int64_t r = 0; r < w.rows; ++r) {
    m.codec.decode(w.data + static_cast<uint64_t>(r) * m.row_bytes, row.data(), row.size());
    for (int64_t t = 0; t < n_tokens; ++t) {
      double size = 0;
      for (size_t i = 0; i < row.size(); ++i)
        size += std::fabs(double{row[i]} *
                          bf16_to_f32(x.values[static_cast<size_t>(t * x.stride) + i]));
      const auto i = static_cast<size_t>(t * w.rows + r);
      const double of_weights = w.type == Type::BF16 ? 0 : 0x1p-8;
      ASSERT_NEAR(got[i], expected[i], (of_weights + 1e-5) * size)
          << m.codec.name << " " << w.rows << "x" << w.columns << " row " << r << " token " << t
          << " of " << n_tokens;
    }
  }
}

bool has_bf16(const KernelTable& k, Type type) {
  return k.matmul_rows_bf16 && (type == Type::BF16 || k.reads_codes(type));
}

TEST_P(Bf16Products, AreTheReferences) {
  for (const Type type : kTypes) {
    if (!has_bf16(k, type)) continue;
    const int64_t columns = type == Type::BF16 ? 96 : find_codec(type)->block_values;
    for (const int64_t rows : {1, 16, 35})
      for (const int64_t n_tokens : {12, 16, 17, 33})
        if (n_tokens >= 16 || k.multiplies_bf16(type, columns, n_tokens))
          expect_bf16_near_reference(k, Matrix(type, rows, columns, 11), n_tokens);
    expect_bf16_near_reference(k, Matrix(type, 18, 2304, 5), 40);  // more than a tile holds
  }
  EXPECT_FALSE(k.multiplies_bf16(Type::BF16, 100, 64));
  EXPECT_FALSE(k.multiplies_bf16(Type::F16, 256, 64));
}

TEST_P(Bf16Products, DoNotDependOnHowRowsAreSplitAndLoseNoDamage) {
  for (const Type type : {Type::BF16, Type::Q4_K, Type::Q8_0}) {
    constexpr int64_t kTokens = 33, kColumns = 512;
    if (!has_bf16(k, type)) continue;
    const Matrix m(type, 37, kColumns, 13);
    RoundedActivations x(kTokens, kColumns);
    x.values[static_cast<size_t>(7 * x.stride + 100)] = f32_to_bf16(NAN);
    const auto whole = multiply_bf16(k, m.view, 0, 37, x, kTokens);
    const auto tail = multiply_bf16(k, m.view, 30, 37, x, kTokens);
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t r = 30; r < 37; ++r) {
        const float value = whole[static_cast<size_t>(t * 37 + r)];
        ASSERT_EQ(std::isnan(value), t == 7) << m.codec.name;
        if (t == 7) continue;
        ASSERT_EQ(value, tail[static_cast<size_t>(t * 7 + r - 30)]) << m.codec.name;
      }
  }
}

// AMX's registers in plain code: what isa/amx.cpp does with them is seen on any machine.
struct PlainRegisters {
  static inline uint8_t of[8][16][64];
  template <int i>
  static void zero() {
    std::memset(of[i], 0, sizeof of[i]);
  }
  template <int i>
  static void load(const void* from, int64_t stride) {
    for (int64_t row = 0; row < 16; ++row)
      std::memcpy(of[i][row], static_cast<const uint8_t*>(from) + row * stride, 64);
  }
  template <int i>
  static void store(void* to, int64_t stride) {
    for (int64_t row = 0; row < 16; ++row)
      std::memcpy(static_cast<uint8_t*>(to) + row * stride, of[i][row], 64);
  }
  template <int c, int a, int b>
  static void add_products() {
    float sums[16][16];
    uint16_t left[16][32], right[16][16][2];
    std::memcpy(sums, of[c], 1024), std::memcpy(left, of[a], 1024), std::memcpy(right, of[b], 1024);
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 16; ++n)
        for (int i = 0; i < 32; ++i)
          sums[m][n] += bf16_to_f32(left[m][i]) * bf16_to_f32(right[i / 2][n][i % 2]);
    std::memcpy(of[c], sums, 1024);
  }
};

TEST(MatrixRegisters, MultiplyEveryTokenOnce) {
  constexpr int64_t kColumns = 96, kStride = 128;
  struct {
    uint16_t pairs[kColumns / 2][32][2];
  } tile;
  const auto weights = random_floats(static_cast<size_t>(kColumns * 32), 4);
  for (int64_t c = 0; c < kColumns; ++c)
    for (int64_t r = 0; r < 32; ++r)
      tile.pairs[c / 2][r][c % 2] = f32_to_bf16(weights[static_cast<size_t>(c * 32 + r)]);
  for (const int64_t n_tokens : {16, 17, 32, 33, 48, 49, 64, 79}) {
    const auto exact = random_floats(static_cast<size_t>(n_tokens * kStride), 5);
    std::vector<uint16_t> x(exact.size());
    for (size_t i = 0; i < x.size(); ++i) x[i] = f32_to_bf16(exact[i]);
    std::vector<int> times(static_cast<size_t>(n_tokens));
    const auto check = [&](const float* sums, int64_t t) {
      ++times[static_cast<size_t>(t)];
      for (int64_t r = 0; r < 32; ++r) {
        double sum = 0;
        for (int64_t c = 0; c < kColumns; ++c)
          sum += double{bf16_to_f32(tile.pairs[c / 2][r][c % 2])} *
                 bf16_to_f32(x[static_cast<size_t>(t * kStride + c)]);
        ASSERT_NEAR(sums[r], sum, 1e-4) << n_tokens << " " << t << " " << r;
      }
    };
    generic::multiply_in_registers<PlainRegisters>(tile, kColumns, x.data(), kStride, n_tokens,
                                                   check);
    EXPECT_EQ(times, std::vector<int>(times.size(), 1)) << n_tokens;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Bf16Products,
                         ::testing::ValuesIn(available_kernels().begin(),
                                             available_kernels().end()),
                         [](const auto& table) { return std::string(table.param->isa); });

}  // namespace
}  // namespace enxuto
