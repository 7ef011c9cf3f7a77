// Every table that this machine can run against the scalar oracle, for every number format.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/float16.h"
#include "kernels/matmul.h"

namespace enxuto {
namespace {

std::vector<float> random_floats(size_t n, uint32_t seed, float scale = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(n);
  for (float& v : values) v = normal(generator);
  return values;
}

// Rows of one format: encoded from random values where we can, else random blocks with small
// scales.
struct Weights {
  std::vector<uint8_t> bytes;
  MatrixView view;
};

Weights make_weights(const Codec& codec, int64_t rows, int64_t columns) {
  Weights w;
  const uint64_t row_bytes = codec.row_bytes(static_cast<uint64_t>(columns));
  w.bytes.resize(row_bytes * static_cast<uint64_t>(rows) + 1);
  uint8_t* first = w.bytes.data() + 1;  // never aligned
  for (int64_t r = 0; r < rows; ++r) {
    const auto x = random_floats(static_cast<size_t>(columns), static_cast<uint32_t>(r + 1), 0.05f);
    uint8_t* row = first + static_cast<uint64_t>(r) * row_bytes;
    if (codec.encode) {
      codec.encode(x.data(), nullptr, row, x.size());
      continue;
    }
    // Zero blocks decode to finite values in every format; a little noise in their codes keeps them
    // so.
    for (uint64_t i = 0; i < row_bytes; ++i)
      row[i] = static_cast<uint8_t>((i * 37 + static_cast<uint64_t>(r)) & 15);
  }
  w.view = {codec.type, first, rows, columns, row_bytes};
  return w;
}

struct Inputs {
  std::vector<float> values;
  std::vector<int8_t> codes;
  std::vector<float> scales, sums;
  std::vector<PreparedRow> rows;

  Inputs(int64_t n_tokens, int64_t columns, const KernelTable& k) {
    const auto n = static_cast<size_t>(n_tokens * columns);
    values = random_floats(n, 99);
    codes.resize(n), scales.resize(n / 32 + 1), sums.resize(n / 16 + 1);
    for (int64_t t = 0; t < n_tokens; ++t) {
      rows.push_back({values.data() + t * columns, codes.data() + t * columns,
                      scales.data() + t * (columns / 32), sums.data() + t * (columns / 16)});
      k.prepare(columns, rows.back());
    }
  }
};

const KernelTable& oracle_table() { return *available_kernels().front(); }

// Root of the summed squares of weights times those of the inputs: what a dot product would be if
// all were independent.
double spread_of(const MatrixView& w, const Inputs& x, int64_t n_tokens) {
  std::vector<float> row(static_cast<size_t>(w.columns));
  double weights = 0, inputs = 0;
  for (int64_t r = 0; r < w.rows; ++r) {
    find_codec(w.type)->decode(w.data + static_cast<uint64_t>(r) * w.row_bytes, row.data(),
                               row.size());
    for (float v : row) weights += double{v} * v;
  }
  for (float v : x.values) inputs += double{v} * v;
  return std::sqrt(weights / static_cast<double>(w.rows) * inputs / static_cast<double>(n_tokens) /
                   static_cast<double>(w.columns)) +
         1e-30;
}

class EveryTable : public ::testing::TestWithParam<const KernelTable*> {};

TEST_P(EveryTable, MatmulAgreesWithTheOracleForEveryFormat) {
  const KernelTable& k = *GetParam();
  std::vector<float> scratch(kKernelScratchFloats);
  for (const Codec* codec : all_codecs()) {
    if (!codec->decode) continue;
    for (const auto& [rows, columns] :
         {std::pair<int64_t, int64_t>{7, 256}, {2, 768}, {1, 1536}, {5, 24576}}) {
      const Weights w = make_weights(*codec, rows, columns);
      for (int64_t n_tokens : {1, 2, 5, 37}) {
        if (columns > 2000 && n_tokens > 5) continue;
        const Inputs x(n_tokens, columns, k);
        std::vector<float> y(static_cast<size_t>(rows * n_tokens)), expected = y;
        oracle_table().matmul_rows(w.view, 0, rows, x.rows.data(), n_tokens, expected.data(), rows,
                                   scratch.data());
        // In two calls, the second from row 1 on.
        k.matmul_rows(w.view, 0, 1, x.rows.data(), n_tokens, y.data(), rows, scratch.data());
        k.matmul_rows(w.view, 1, rows, x.rows.data(), n_tokens, y.data() + 1, rows, scratch.data());
        double off = 0;
        for (size_t i = 0; i < y.size(); ++i) {
          off += std::pow(static_cast<double>(y[i]) - expected[i], 2);
        }
        // Rounding activations to 8 bits with a scale per 32 moves a dot product by about 0.5 % of
        // its spread; floats by none. The bound on the weights' own spread, since a sum may cancel.
        const double spread = spread_of(w.view, x, n_tokens);
        const double bound = k.reads_codes(codec->type) ? 0.015 : 2e-6;
        EXPECT_LT(std::sqrt(off / static_cast<double>(y.size())), bound * spread)
            << k.isa << " " << codec->name << " " << rows << "x" << columns << " tokens "
            << n_tokens;
      }
    }
  }
}

TEST_P(EveryTable, PrepareGivesTheSameCodes) {
  const KernelTable& k = *GetParam();
  const Inputs ours(3, 1024, k), expected(3, 1024, oracle_table());
  for (size_t i = 0; i < ours.codes.size(); ++i)
    ASSERT_NEAR(ours.codes[i], expected.codes[i], 1) << i;
  for (size_t i = 0; i < 96; ++i) EXPECT_FLOAT_EQ(ours.scales[i], expected.scales[i]);
  for (size_t j = 0; j < 192; ++j) {
    int sum = 0;
    for (size_t i = 0; i < 16; ++i) sum += ours.codes[16 * j + i];
    EXPECT_FLOAT_EQ(ours.sums[j], ours.scales[j / 2] * static_cast<float>(sum));
  }
  std::vector<float> zeros(32, 0.0f);
  int8_t codes[32];
  float scale, sums[2];
  k.prepare(32, {zeros.data(), codes, &scale, sums});
  EXPECT_EQ(scale, 0.0f);
  EXPECT_EQ(codes[5], 0);
}

TEST_P(EveryTable, NormsGatesAndSoftmax) {
  const KernelTable& k = *GetParam();
  const KernelTable& oracle = oracle_table();
  for (int64_t n : {1, 7, 8, 64, 577}) {
    const auto size = static_cast<size_t>(n);
    const auto x = random_floats(size, 1, 4), w = random_floats(size, 2);
    std::vector<float> y(size), expected(size);
    const auto compare = [&](const char* what, float tolerance) {
      for (size_t i = 0; i < size; ++i)
        ASSERT_NEAR(y[i], expected[i], tolerance * (1 + std::fabs(expected[i])))
            << k.isa << " " << what << " " << n;
    };
    k.rms_norm(x.data(), w.data(), 1e-5f, n, y.data());
    oracle.rms_norm(x.data(), w.data(), 1e-5f, n, expected.data());
    compare("rms_norm", 1e-5f);
    k.silu_mul(x.data(), w.data(), n, y.data());
    oracle.silu_mul(x.data(), w.data(), n, expected.data());
    compare("silu", 1e-5f);
    k.gelu_mul(x.data(), w.data(), n, y.data());
    oracle.gelu_mul(x.data(), w.data(), n, expected.data());
    compare("gelu", 1e-5f);
    y = expected = x;
    k.softmax(y.data(), n);
    oracle.softmax(expected.data(), n);
    compare("softmax", 1e-6f);
    y = expected = x;
    k.add(w.data(), n, y.data());
    oracle.add(w.data(), n, expected.data());
    compare("add", 0);
    std::vector<uint16_t> half(size), half_expected(size);
    k.to_f16(x.data(), n, half.data());
    oracle.to_f16(x.data(), n, half_expected.data());
    EXPECT_EQ(half, half_expected);
  }
}

TEST_P(EveryTable, GatesAreSaneFarOut) {
  const KernelTable& k = *GetParam();
  const float far[8] = {-1e4f, -100, -20, -1e-8f, 0, 20, 100, 1e4f};
  const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  float silu[8], gelu[8];
  k.silu_mul(far, ones, 8, silu);
  k.gelu_mul(far, ones, 8, gelu);
  for (int i = 0; i < 8; ++i) {
    EXPECT_NEAR(silu[i], far[i] > 0 ? far[i] : 0, 1e-4f * std::fabs(far[i]) + 1e-6f);
    EXPECT_NEAR(gelu[i], far[i] > 0 ? far[i] : 0, 1e-4f * std::fabs(far[i]) + 1e-6f);
  }
}

TEST_P(EveryTable, AttendAgreesWithTheOracle) {
  const KernelTable& k = *GetParam();
  std::vector<float> scratch(kKernelScratchFloats);
  for (int64_t head_dim : {4, 20, 64, 128, 256}) {
    const int64_t stride = head_dim * 3, positions = 300;
    const auto n = static_cast<size_t>(stride * positions);
    const auto kf = random_floats(n, 5), vf = random_floats(n, 6);
    std::vector<uint16_t> keys(n), values(n);
    for (size_t i = 0; i < n; ++i) keys[i] = f32_to_f16(kf[i]), values[i] = f32_to_f16(vf[i]);
    const auto q = random_floats(static_cast<size_t>(8 * head_dim), 7, 2);
    std::vector<float> out(q.size(), -1), expected(q.size(), -1);
    const std::pair<int64_t, int64_t> ranges[8] = {{0, 1}, {0, 300}, {17, 18}, {100, 299},
                                                   {5, 5}, {0, 64},  {0, 65},  {299, 300}};
    std::vector<AttendQuery> a, b;
    for (int i = 0; i < 8; ++i) {
      a.push_back(
          {q.data() + i * head_dim, out.data() + i * head_dim, ranges[i].first, ranges[i].second});
      b.push_back({q.data() + i * head_dim, expected.data() + i * head_dim, ranges[i].first,
                   ranges[i].second});
    }
    k.attend(a.data(), 8, keys.data(), values.data(), stride, head_dim, 0.125f, scratch.data());
    oracle_table().attend(b.data(), 8, keys.data(), values.data(), stride, head_dim, 0.125f,
                          scratch.data());
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_NEAR(out[i], expected[i], 2e-5f) << k.isa << " " << head_dim << " " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, EveryTable,
                         ::testing::ValuesIn(available_kernels().begin(),
                                             available_kernels().end()),
                         [](const auto& table) { return std::string(table.param->isa); });

TEST(Matmul, IsTheSameForAnyNumberOfThreads) {
  const Codec& codec = *find_codec(Type::Q4_K);
  const Weights a = make_weights(codec, 301, 512), b = make_weights(codec, 77, 512);
  const auto x = random_floats(3 * 512, 3);
  const auto bias = random_floats(77, 4);
  std::vector<float> first;
  for (int n_threads : {1, 2, 5}) {
    ThreadTeam team(n_threads);
    const uint64_t bytes = MatmulBuffers::bytes(3, 512, n_threads);
    std::vector<uint8_t> memory(bytes + 64);
    auto* aligned =
        reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
    MatmulBuffers buffers(aligned, 3, 512, n_threads);
    std::vector<float> y(3 * 378);
    const MatmulJob jobs[] = {{a.view, nullptr, y.data(), 301},
                              {b.view, bias.data(), y.data() + 3 * 301, 77}};
    matmul(kernels(), team, buffers, x.data(), 512, 3, jobs);
    if (first.empty()) first = y;
    EXPECT_EQ(y, first) << n_threads;
  }
}

}  // namespace
}  // namespace enxuto
