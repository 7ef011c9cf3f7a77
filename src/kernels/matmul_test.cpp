#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/random_floats.h"
#include "kernels/tables.h"

namespace enxuto {
namespace {

struct Weights {
  Weights(Type type, int64_t rows, int64_t columns, uint32_t seed) {
    const Codec& codec = *find_codec(type);
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<size_t>(rows * columns));
    for (float& v : values) v = normal(random);
    const uint64_t row_bytes = codec.row_bytes(static_cast<uint64_t>(columns));
    bytes.resize(row_bytes * static_cast<uint64_t>(rows));
    for (int64_t r = 0; r < rows; ++r)
      codec.encode(values.data() + r * columns, nullptr,
                   bytes.data() + static_cast<uint64_t>(r) * row_bytes,
                   static_cast<size_t>(columns));
    view = {type, bytes.data(), rows, columns, row_bytes};
  }
  std::vector<uint8_t> bytes;
  MatrixView view;
};

struct Output {
  std::vector<float> q, k, v;
};

// Three matrices of different types that read the same input, one of them with a bias.
Output multiply(const KernelTable& table, int n_threads, int64_t n_tokens,
                Rounding rounding = Rounding::kFastest) {
  constexpr int64_t kColumns = 512, kStride = 600;
  static const Weights q(Type::Q4_K, 77, kColumns, 1), k(Type::F16, 16, kColumns, 2),
      v(Type::Q6_K, 33, kColumns, 3);
  std::vector<float> x(static_cast<size_t>(kStride * n_tokens)), bias(33);
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  for (float& value : bias) value = normal(random);
  for (float& value : x) value = normal(random);
  const auto floats = [&](int64_t rows) {
    return std::vector<float>(static_cast<size_t>(rows * n_tokens), NAN);
  };
  Output out = {floats(77), floats(16), floats(40)};
  const MatmulJob jobs[] = {{q.view, nullptr, out.q.data(), 77},
                            {k.view, nullptr, out.k.data(), 16},
                            {v.view, bias.data(), out.v.data(), 40}};
  const uint64_t bytes = MatmulBuffers::bytes(n_tokens, kColumns, n_threads);
  auto* memory = static_cast<uint8_t*>(std::aligned_alloc(64, bytes));
  MatmulBuffers buffers(memory, n_tokens, kColumns, n_threads);
  ThreadTeam team(n_threads);
  matmul(table, team, buffers, x.data(), kStride, n_tokens, jobs, rounding);
  std::free(memory);
  return out;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(Matmul, IsTheSameForAnyNumberOfThreads) {
  for (const KernelTable* table : available_kernels())
    for (const int64_t n_tokens : {1, 3, 20}) {
      const Output one = multiply(*table, 1, n_tokens);
      for (const int n_threads : {2, 3, 8}) {
        const Output many = multiply(*table, n_threads, n_tokens);
        EXPECT_TRUE(same(one.q, many.q) && same(one.k, many.k) && same(one.v, many.v))
            << table->isa << " " << n_threads << " " << n_tokens;
      }
    }
}

TEST(Matmul, RoundsEachTokenAsIfItCameAlone) {
  for (const KernelTable* table : available_kernels()) {
    const Output one = multiply(*table, 1, 1, Rounding::kOfOneToken);
    const Output fastest = multiply(*table, 2, 1);
    EXPECT_TRUE(same(one.q, fastest.q) && same(one.k, fastest.k) && same(one.v, fastest.v));
    for (const int64_t n_tokens : {2, 7, 20}) {
      const Output many = multiply(*table, 2, n_tokens, Rounding::kOfOneToken);
      const Output fewer = multiply(*table, 1, n_tokens - 1, Rounding::kOfOneToken);
      const auto begins_with = [](const std::vector<float>& all, const std::vector<float>& first) {
        return same({all.begin(), all.begin() + static_cast<ptrdiff_t>(first.size())}, first);
      };
      EXPECT_TRUE(begins_with(many.q, one.q) && begins_with(many.k, one.k)) << table->isa;
      EXPECT_TRUE(begins_with(many.v, one.v)) << table->isa;
      EXPECT_TRUE(begins_with(many.q, fewer.q) && begins_with(many.v, fewer.v)) << table->isa;
    }
  }
}

TEST(Matmul, FillsItsRowsAndNothingElse) {
  for (const KernelTable* table : available_kernels())
    for (const int64_t n_tokens : {1, 6}) {
      const Output expected = multiply(kReferenceKernels, 1, n_tokens);
      const Output got = multiply(*table, 2, n_tokens);
      for (size_t i = 0; i < got.q.size(); ++i) ASSERT_NEAR(got.q[i], expected.q[i], 1);
      for (size_t i = 0; i < got.k.size(); ++i) ASSERT_NEAR(got.k[i], expected.k[i], 1e-3);
      for (size_t i = 0; i < got.v.size(); ++i) {
        if (i % 40 < 33)
          ASSERT_NEAR(got.v[i], expected.v[i], 1);
        else
          ASSERT_TRUE(std::isnan(got.v[i]));
      }
    }
}

// BF16 alone may be multiplied as it is; beside a matrix that reads codes it is met by floats.
TEST(Matmul, RoundsToBf16WhereThatIsFaster) {
  constexpr int64_t kColumns = 512, kRows = 77, kTokens = 40;
  const Weights bf16(Type::BF16, kRows, kColumns, 1), blocks(Type::Q4_K, kRows, kColumns, 2);
  const std::vector<float> x = random_floats(static_cast<size_t>(kTokens * kColumns), 3);
  const uint64_t bytes = MatmulBuffers::bytes(kTokens, kColumns, 3);
  auto* memory = static_cast<uint8_t*>(std::aligned_alloc(64, bytes));
  MatmulBuffers buffers(memory, kTokens, kColumns, 3);
  const auto run = [&](const KernelTable& table, int n_threads, Rounding rounding, bool beside) {
    std::vector<float> y(static_cast<size_t>(kTokens * kRows), NAN), other = y;
    const MatmulJob jobs[] = {{bf16.view, nullptr, y.data(), kRows},
                              {blocks.view, nullptr, other.data(), kRows}};
    ThreadTeam team(n_threads);
    matmul(table, team, buffers, x.data(), kColumns, kTokens, std::span(jobs, beside ? 2 : 1),
           rounding);
    return y;
  };
  for (const KernelTable* table : available_kernels()) {
    const auto exact = run(*table, 1, Rounding::kExact, false);
    const auto fastest = run(*table, 1, Rounding::kFastest, false);
    const bool rounds = table->multiplies_bf16(Type::BF16, kColumns, kTokens);
    EXPECT_EQ(same(exact, fastest), !rounds) << table->isa;
    for (size_t i = 0; i < exact.size(); ++i) ASSERT_NEAR(fastest[i], exact[i], 0.3) << table->isa;
    EXPECT_TRUE(same(run(*table, 3, Rounding::kFastest, false), fastest)) << table->isa;
    const bool both = table->multiplies_bf16(Type::Q4_K, kColumns, kTokens);
    EXPECT_TRUE(same(run(*table, 2, Rounding::kFastest, true), both ? fastest : exact))
        << table->isa;
  }
  std::free(memory);
}

// The choice is made once a process, so each pin needs one of its own.
void pin_children_to(const char* isa) { ::setenv("ENXUTO_ISA", isa, 1); }

[[noreturn]] void exit_if_pinned_to(const char* isa) {
  std::exit(kernels().isa == std::string(isa) && !kernel_pin_error() ? 10 : 11);
}

TEST(KernelPinDeathTest, ChoosesTheNamedTable) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const KernelTable* table : available_kernels()) {
    pin_children_to(table->isa);
    EXPECT_EXIT(exit_if_pinned_to(table->isa), ::testing::ExitedWithCode(10), "");
  }
  ::unsetenv("ENXUTO_ISA");
}

TEST(KernelPinDeathTest, SaysWhatIsWrong) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  pin_children_to("mmx");
  EXPECT_EXIT(
      {
        std::fputs(kernel_pin_error(), stderr);
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "ENXUTO_ISA=mmx.*reference");
  ::unsetenv("ENXUTO_ISA");
}

}  // namespace
}  // namespace enxuto
