// What training takes of every table against the scalar reference, and that no NaN is lost there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/random_floats.h"
#include "kernels/tables.h"

namespace enxuto {
namespace {

constexpr int64_t kLengths[] = {1, 5, 8, 31, 64, 72, 576, 1537};

class TrainingKernels : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& k = *GetParam();
};

using Floats = std::vector<float>;
Floats floats(int64_t n, uint32_t seed, float spread = 1) {
  return random_floats(static_cast<size_t>(n), seed, spread);
}

void expect_near(const Floats& got, const Floats& expected, double tolerance, const char* what) {
  ASSERT_EQ(got.size(), expected.size());
  double size = 0;
  for (const float value : expected) size = std::max(size, std::fabs(double{value}));
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance * size)
        << what << " of " << got.size() << " at " << i;
}

TEST_P(TrainingKernels, SumsAndExponentials) {
  for (const int64_t n : kLengths) {
    const Floats x = floats(n, 1, 5), y = floats(n, 2);
    const float top = k.largest(x.data(), n);
    EXPECT_EQ(top, *std::max_element(x.begin(), x.end())) << n;
    double size = 0;
    for (size_t i = 0; i < x.size(); ++i) size += std::fabs(double{x[i]} * y[i]);
    EXPECT_NEAR(k.dot(x.data(), y.data(), n), kReferenceKernels.dot(x.data(), y.data(), n),
                1e-6 * size);
    const double sum = kReferenceKernels.sum_exponentials(x.data(), n, top);
    EXPECT_NEAR(k.sum_exponentials(x.data(), n, top), sum, 1e-6 * sum) << n;
    Floats got = x, expected = x;
    EXPECT_NEAR(k.exponentials(got.data(), n, top, 0.3f), sum, 1e-6 * sum) << n;
    kReferenceKernels.exponentials(expected.data(), n, top, 0.3f);
    expect_near(got, expected, 1e-6, "exponentials");
  }
}

TEST_P(TrainingKernels, GradientsAreTheReferences) {
  for (const int64_t n : kLengths) {
    const Floats x = floats(n, 1, 4), y = floats(n, 2), dy = floats(n, 3);
    const auto compare = [&](const char* what, auto&& run) {
      Floats a = x, b = y, other_a = x, other_b = y;
      run(k, a.data(), b.data()), run(kReferenceKernels, other_a.data(), other_b.data());
      expect_near(a, other_a, 3e-6, what), expect_near(b, other_b, 3e-6, what);
    };
    compare("silu_mul", [&](const KernelTable& table, float* a, float* b) {
      table.silu_mul_gradient(a, b, dy.data(), n);
    });
    compare("gelu_mul", [&](const KernelTable& table, float* a, float* b) {
      table.gelu_mul_gradient(a, b, dy.data(), n);
    });
    compare("gelu", [&](const KernelTable& table, float* a, float*) {
      table.gelu_gradient(a, dy.data(), n);
    });
    compare("attention", [&](const KernelTable& table, float* a, float* b) {
      table.attention_gradient(a, b, n, {15, 0.5f, 0.125f});
    });
    compare("rms_norm", [&](const KernelTable& table, float* a, float* b) {
      table.rms_norm_gradient(a, dy.data(), 0.25f, n, b, b);
    });
  }
}

// To the bit: a run that goes on elsewhere draws the same chances.
TEST_P(TrainingKernels, LearningIsTheReferencesToTheBit) {
  const KernelTable& oracle = kReferenceKernels;
  for (const int64_t n : {1, 5, 8, 31, 72, 256}) {
    const Chance chance = Chance::of(static_cast<uint64_t>(n), 7);
    const Floats g = floats(n, 1);
    Floats w[2], m[2], v[2];
    std::vector<uint16_t> halves[2], by_chance[2];
    std::vector<int8_t> means[2];
    std::vector<uint8_t> squares[2];
    float scales[2][2];
    for (const int i : {0, 1}) {
      const KernelTable& table = i ? k : oracle;
      const auto size = static_cast<size_t>(n);
      w[i] = floats(n, 2), m[i] = floats(n, 3), v[i] = Floats(size, 0.0f);
      table.adam_step({0.01f, 0.999f, 0.9f, 0.95f, 1e-8f, 1.1f, 1.2f, 0.5f}, g.data(), n,
                      w[i].data(), m[i].data(), v[i].data());
      table.sgd_step({0.01f, 0.999f, 0.9f, 0.5f}, g.data(), n, w[i].data(), m[i].data());
      halves[i].resize(size), by_chance[i].resize(size), means[i].resize(size),
          squares[i].resize(size);
      table.round_to_bf16(w[i].data(), n, halves[i].data());
      table.round_by_chance(w[i].data(), n, chance, by_chance[i].data());
      table.encode_mean(m[i].data(), n, chance, means[i].data(), &scales[i][0]);
      table.encode_square(v[i].data(), n, chance, squares[i].data(), &scales[i][1]);
      table.decode_mean(means[i].data(), scales[i][0], n, m[i].data());
      table.decode_square(squares[i].data(), scales[i][1], n, v[i].data());
    }
    EXPECT_EQ(w[0], w[1]) << n;
    EXPECT_EQ(halves[0], halves[1]) << n;
    EXPECT_EQ(by_chance[0], by_chance[1]) << n;
    EXPECT_EQ(means[0], means[1]) << n;
    EXPECT_EQ(squares[0], squares[1]) << n;
    EXPECT_EQ(m[0], m[1]) << n;
    EXPECT_EQ(v[0], v[1]) << n;
  }
}

TEST_P(TrainingKernels, NoNaNIsLost) {
  constexpr int64_t kN = 37;
  const auto is_nan = [](float a) { return std::isnan(a); };
  for (size_t place = 0; place < kN; ++place) {
    Floats x(kN, 1.0f), ones(kN, 1.0f), y(kN, 1.0f);
    x[place] = NAN;
    EXPECT_TRUE(std::isnan(k.dot(ones.data(), x.data(), kN))) << place;
    EXPECT_TRUE(std::isnan(k.sum_exponentials(x.data(), kN, 1))) << place;
    Floats other = x;
    EXPECT_TRUE(std::isnan(k.exponentials(other.data(), kN, 1, 1))) << place;
    EXPECT_TRUE(std::isnan(other[place])) << place;
    other = x;
    k.attention_gradient(other.data(), y.data(), kN, {1, 1, 1});
    EXPECT_TRUE(std::isnan(other[place]) && std::isnan(y[place])) << place;
    for (auto* gate : {k.silu_mul_gradient, k.gelu_mul_gradient}) {
      Floats a = x, b = ones, c = ones, d = ones;
      gate(a.data(), b.data(), ones.data(), kN), gate(c.data(), d.data(), x.data(), kN);
      for (const Floats* values : {&a, &b, &c, &d}) EXPECT_TRUE(is_nan((*values)[place])) << place;
    }
    k.rms_norm_gradient(ones.data(), ones.data(), 1e-5f, kN, x.data(), y.data());
    EXPECT_TRUE(std::ranges::all_of(y, is_nan)) << place;
    Floats w = ones, m = ones, v = ones;
    k.adam_step({0.01f, 1, 0.9f, 0.95f, 1e-8f, 1, 1, 1}, x.data(), kN, w.data(), m.data(),
                v.data());
    EXPECT_TRUE(is_nan(w[place]) && is_nan(m[place]) && is_nan(v[place])) << place;
    int8_t means[kN];
    uint8_t squares[kN];
    float scale;
    k.encode_mean(x.data(), kN, {1}, means, &scale);
    k.decode_mean(means, scale, kN, m.data());
    k.encode_square(x.data(), kN, {1}, squares, &scale);
    k.decode_square(squares, scale, kN, v.data());
    EXPECT_TRUE(is_nan(m[place]) && is_nan(v[place])) << place;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, TrainingKernels,
                         ::testing::ValuesIn(available_kernels().begin(),
                                             available_kernels().end()),
                         [](const auto& table) { return std::string(table.param->isa); });

}  // namespace
}  // namespace enxuto
