// Every table that this machine can run against the scalar reference.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/float16.h"
#include "kernels/matrix_inputs.h"
#include "kernels/random_floats.h"
#include "kernels/tables.h"

namespace enxuto {
namespace {

struct Activations {
  Activations(const KernelTable& k, int64_t n_tokens, int64_t columns, uint32_t seed)
      : values(random_floats(static_cast<size_t>(n_tokens * columns), seed)),
        codes(values.size()),
        scales(values.size() / 32 + 1),
        sums(values.size() / 16 + 1),
        shifts(values.size() / 32 + 1) {
    for (int64_t t = 0; t < n_tokens; ++t) {
      rows.push_back({values.data() + t * columns, codes.data() + t * columns,
                      scales.data() + t * (columns / 32), sums.data() + t * (columns / 16),
                      shifts.data() + t * (columns / 32)});
      if (columns % 32 == 0) k.prepare(columns, 32, rows.back());
    }
  }
  std::vector<float> values;
  std::vector<int8_t> codes;
  std::vector<float> scales, sums;
  std::vector<int32_t> shifts;
  std::vector<PreparedRow> rows;
};

std::vector<float> multiply(const KernelTable& k, const MatrixView& w, int64_t begin, int64_t end,
                            const Activations& x, int64_t n_tokens,
                            TileWeights weights = TileWeights::kExact) {
  Scratch scratch;
  std::vector<float> y(static_cast<size_t>(n_tokens * (end - begin)), NAN);
  k.matmul_rows(w, begin, end, x.rows.data(), n_tokens, weights, y.data(), end - begin,
                scratch.data());
  return y;
}

// An activation's code is off by at most half a step, so a dot product by at most
// sum |w| * scale / 2; floats add rounding in proportion to sum |w x|. A rescaled weight is off by
// 0.75 of 127 parts of the largest that the blocks' scales allow, here up to twice what they have.
double bound(const Matrix& m, int64_t row, const PreparedRow& x, bool codes, TileWeights weights) {
  std::vector<float> w(static_cast<size_t>(m.view.columns));
  m.codec.decode(m.view.data + static_cast<uint64_t>(row) * m.row_bytes, w.data(), w.size());
  double rounding = 0, size = 0, largest = 0;
  if (weights == TileWeights::kRescaled)
    for (const float value : w) largest = std::max(largest, std::fabs(double{value}));
  for (size_t i = 0; i < w.size(); ++i) {
    if (codes) rounding += 2 * 0.75 / 127 * largest * std::fabs(double{x.values[i]});
    if (codes) rounding += std::fabs(w[i]) * x.scales[i / 32] * 0.5001;
    size += std::fabs(double{w[i]} * x.values[i]);
  }
  return rounding + 2e-6 * size;
}

constexpr TileWeights kTileWeights[] = {TileWeights::kExact, TileWeights::kRescaled};

class EveryTable : public ::testing::TestWithParam<const KernelTable*> {
 protected:
  const KernelTable& k = *GetParam();
};

double relative_error(const std::vector<float>& got, const std::vector<float>& expected) {
  double error = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += std::pow(got[i] - expected[i], 2);
    size += std::pow(expected[i], 2);
  }
  return std::sqrt(error / size);
}

void expect_near_reference(const KernelTable& k, const Matrix& m, int64_t n_tokens) {
  const MatrixView& w = m.view;
  const Activations x(k, n_tokens, w.columns, 7);
  const auto expected = multiply(kReferenceKernels, w, 0, w.rows, x, n_tokens);
  for (const TileWeights weights : kTileWeights) {
    const auto got = multiply(k, w, 0, w.rows, x, n_tokens, weights);
    for (int64_t t = 0; t < n_tokens; ++t)
      for (int64_t r = 0; r < w.rows; ++r) {
        const auto i = static_cast<size_t>(t * w.rows + r);
        ASSERT_NEAR(got[i], expected[i],
                    bound(m, r, x.rows[static_cast<size_t>(t)], k.reads_codes(w.type), weights))
            << m.codec.name << " " << w.rows << "x" << w.columns << " row " << r << " token " << t
            << " of " << n_tokens;
      }
  }
}

TEST_P(EveryTable, MatmulIsTheReferencesWithinTheRoundingOfCodes) {
  for (const Type type : kTypes) {
    const Codec& codec = *find_codec(type);
    for (const int64_t rows : {1, 2, 3, 5, 17, 35})
      for (const int64_t blocks : {1, 3}) {
        const Matrix m(type, rows, blocks * codec.block_values, 11);
        for (const int64_t n_tokens : {1, 2, 3, 4, 5, 9}) expect_near_reference(k, m, n_tokens);
      }
    const Matrix wide(type, 18, 2304, 5);  // more columns than a tile holds
    for (const int64_t n_tokens : {1, 2, 13}) expect_near_reference(k, wide, n_tokens);
  }
}

TEST_P(EveryTable, RowsOfAnyWidth) {  // also where the scratch holds few tokens, or not one
  for (const Type type : {Type::Q4_K, Type::Q3_K, Type::IQ2_S, Type::IQ3_XXS, Type::Q4_1})
    for (const int64_t columns : {256, 20480, 52480}) {
      const Matrix m(type, 3, columns, 7);
      for (const int64_t n_tokens : {1, 5}) expect_near_reference(k, m, n_tokens);
    }
}

// The error of rounding is random: seen over many outputs it is far below its bound, and a kernel
// that were off by a systematic part of a code would not be.
TEST_P(EveryTable, RoundingLeavesNoBias) {
  for (const Type type : kTypes) {
    const Matrix m(type, 64, 1536, 3);
    for (const int64_t n_tokens : {1, 8}) {
      const Activations x(k, n_tokens, 1536, 9);
      const auto expected = multiply(kReferenceKernels, m.view, 0, 64, x, n_tokens);
      for (const TileWeights weights : kTileWeights) {
        const auto got = multiply(k, m.view, 0, 64, x, n_tokens, weights);
        EXPECT_LT(relative_error(got, expected), k.reads_codes(type) ? 0.015 : 2e-6)
            << m.codec.name;
      }
    }
  }
}

TEST_P(EveryTable, FloatsOfAnyLength) {
  for (const Type type : {Type::F32, Type::F16, Type::BF16})
    for (const int64_t columns : {1, 7, 8, 15, 17, 31, 100, 513, 1030})
      for (const int64_t n_tokens : {1, 4, 7})
        expect_near_reference(k, Matrix(type, 19, columns, 3), n_tokens);
}

// Bytes that no encoder writes, of every type that a file may have.
TEST_P(EveryTable, RandomBytesMeanWhatTheirCodecReads) {
  for (const Codec* codec : all_codecs()) {
    if (!codec->decode || codec->block_values == 1) continue;
    const bool halves = codec->type == Type::SF16;  // in a block, but no codes
    EXPECT_EQ(k.reads_codes(codec->type), &k != &kReferenceKernels && !halves) << codec->name;
    const int64_t columns = 3 * 256, rows = 17;
    std::vector<uint8_t> bytes(codec->row_bytes(columns) * rows);
    std::mt19937 random(5);
    for (auto& b : bytes) b = static_cast<uint8_t>(random() & 0x3b);  // no f16 near infinity
    const MatrixView w = {codec->type, bytes.data(), rows, columns, codec->row_bytes(columns)};
    for (const int64_t n_tokens : {1, 8}) {
      const Activations x(k, n_tokens, columns, 2);
      const auto expected = multiply(kReferenceKernels, w, 0, rows, x, n_tokens);
      for (const TileWeights weights : kTileWeights)
        EXPECT_LT(relative_error(multiply(k, w, 0, rows, x, n_tokens, weights), expected), 0.03)
            << codec->name;
    }
  }
}

// A bitmap with more bits than there is room: those beyond the sixteenth are zeros, and what lies
// behind the matrix is not read.
TEST_P(EveryTable, SparseBlocksThatClaimTooMuch) {
  constexpr int64_t kRows = 17, kColumns = 96;
  for (const Type type : {Type::SF16, Type::SQ8_0, Type::SQ4_NL}) {
    Matrix m(type, kRows, kColumns, 4);
    const size_t bitmap_at = type == Type::SF16 ? 0 : 2;
    std::mt19937 random(3);
    for (size_t at = 1 + bitmap_at; at < m.bytes.size(); at += m.codec.block_bytes)
      for (size_t i = 0; i < 4; ++i) m.bytes[at + i] = static_cast<uint8_t>(random() | random());
    std::ranges::fill(std::span(m.bytes).subspan(1 + bitmap_at, 4), uint8_t{255});
    for (const int64_t n_tokens : {1, 8}) expect_near_reference(k, m, n_tokens);
  }
}

// The same values, half of them zeros, give the same bits whether the zeros are stored or not.
TEST_P(EveryTable, SparseHalvesAreTheDenseOnes) {
  constexpr int64_t kRows = 37, kColumns = 1056;
  const Matrix sparse(Type::SF16, kRows, kColumns, 6);
  const Codec& f16 = *find_codec(Type::F16);
  std::vector<float> values(static_cast<size_t>(kRows * kColumns));
  sparse.codec.decode(sparse.view.data, values.data(), values.size());
  std::vector<uint8_t> bytes(f16.row_bytes(values.size()));
  f16.encode(values.data(), nullptr, bytes.data(), values.size());
  const MatrixView dense = {Type::F16, bytes.data(), kRows, kColumns, f16.row_bytes(kColumns)};
  for (const int64_t n_tokens : {1, 3, 9}) {
    const Activations x(k, n_tokens, kColumns, 8);
    EXPECT_EQ(multiply(k, sparse.view, 0, kRows, x, n_tokens),
              multiply(k, dense, 0, kRows, x, n_tokens));
  }
}

TEST_P(EveryTable, AValueDoesNotDependOnHowRowsAreSplit) {
  constexpr auto kWeights = TileWeights::kRescaled;  // exact ones where these are none
  for (const Type type : kTypes) {
    const Matrix m(type, 37, 512, 13);
    for (const int64_t n_tokens : {1, 3, 6}) {
      const Activations x(k, n_tokens, 512, 1);
      const auto whole = multiply(k, m.view, 0, 37, x, n_tokens, kWeights);
      for (const int64_t cut : {1, 16, 30}) {
        const auto head = multiply(k, m.view, 0, cut, x, n_tokens, kWeights);
        const auto tail = multiply(k, m.view, cut, 37, x, n_tokens, kWeights);
        for (int64_t t = 0; t < n_tokens; ++t)
          for (int64_t r = 0; r < 37; ++r)
            ASSERT_EQ(whole[static_cast<size_t>(t * 37 + r)],
                      r < cut ? head[static_cast<size_t>(t * cut + r)]
                              : tail[static_cast<size_t>(t * (37 - cut) + r - cut)])
                << m.codec.name;
      }
    }
  }
}

TEST_P(EveryTable, ProductsOfFewRowsAreTheReferences) {
  struct Shape {
    int64_t m, n, k;
  };
  for (const Shape& s : {Shape{32, 96, 256}, Shape{32, 37, 32}, Shape{6, 16, 300}, Shape{1, 5, 8},
                         Shape{8, 24, 33}, Shape{15, 48, 1}})
    for (const bool transposed : {false, true}) {
      const int64_t a_stride = s.k + 3, c_stride = s.n + 1;
      const int64_t b_stride = (transposed ? s.k : s.n) + 2;
      const auto a = random_floats(static_cast<size_t>(s.m * a_stride), 1);
      const auto b = random_floats(static_cast<size_t>((transposed ? s.n : s.k) * b_stride), 2);
      const auto before = random_floats(static_cast<size_t>(s.m * c_stride), 3);
      auto expected = before, c = before;
      FewRowsProduct product = {s.m,      s.n,      s.k,        -0.5f,           a.data(), a_stride,
                                b.data(), b_stride, transposed, expected.data(), c_stride};
      kReferenceKernels.add_product(product);
      product.c = c.data();
      GetParam()->add_product(product);
      for (size_t i = 0; i < c.size(); ++i)
        ASSERT_NEAR(c[i], expected[i], 1e-5 * std::sqrt(static_cast<double>(s.k)))
            << s.m << ' ' << s.n << ' ' << s.k << ' ' << transposed << ' ' << i;
    }
}

TEST_P(EveryTable, PrepareIsExact) {
  const int64_t n = 3 * 256;
  for (const auto& [spread, sharing] : std::vector<std::pair<float, int64_t>>{
           {1.0f, 32}, {1.0f, 256}, {1e-20f, 32}, {1e20f, 32}, {0.0f, 32}, {0.0f, 256}}) {
    Activations x(k, 1, n, 4);
    x.values = random_floats(n, 4, spread);
    x.values[40] *= 100;
    x.values[100] = -x.values[100];
    x.rows[0].values = x.values.data();
    k.prepare(n, sharing, x.rows[0]);
    Activations expected(kReferenceKernels, 1, n, 4);
    expected.values = x.values;
    expected.rows[0].values = expected.values.data();
    kReferenceKernels.prepare(n, sharing, expected.rows[0]);
    EXPECT_EQ(x.codes, expected.codes);
    EXPECT_EQ(x.scales, expected.scales);
    EXPECT_EQ(x.sums, expected.sums);
    EXPECT_EQ(x.shifts, expected.shifts);
    for (int64_t i = 0; i < n; ++i)
      ASSERT_LE(std::fabs(x.values[static_cast<size_t>(i)] -
                          x.scales[static_cast<size_t>(i / 32)] * x.codes[static_cast<size_t>(i)]),
                x.scales[static_cast<size_t>(i / 32)] * 0.5001f);
  }
}

TEST_P(EveryTable, PrepareLosesNoDamage) {
  for (size_t place = 0; place < 32; ++place)
    for (const float damage : {NAN, -NAN, INFINITY, -INFINITY}) {
      std::vector<float> values(64, 1.0f);
      values[place] = damage, values[50] = 1e-44f;
      Activations x(k, 1, 64, 1);
      x.rows[0].values = values.data();
      k.prepare(64, 32, x.rows[0]);
      EXPECT_EQ(std::isnan(x.scales[0]), std::isnan(damage)) << place << " " << damage;
      EXPECT_FALSE(std::isfinite(x.scales[0])) << place << " " << damage;
      EXPECT_EQ(x.scales[1], 1.0f / 127);
    }
}

TEST_P(EveryTable, NormsAndActivations) {
  for (const int64_t n : {1, 5, 8, 31, 576, 1537}) {
    const auto a = random_floats(static_cast<size_t>(n), 1, 4), b = random_floats(a.size(), 2);
    const auto compare = [&](const char* what, double tolerance, auto&& run) {
      std::vector<float> got(a.size(), NAN), expected(a.size(), NAN);
      run(k, got.data()), run(kReferenceKernels, expected.data());
      for (size_t i = 0; i < a.size(); ++i)
        ASSERT_NEAR(got[i], expected[i], tolerance * (1e-3 + std::fabs(expected[i])))
            << what << " " << n << " " << i;
    };
    compare("rms_norm", 1e-6, [&](const KernelTable& table, float* y) {
      table.rms_norm(a.data(), b.data(), 1e-5f, n, y);
    });
    compare("layer_norm", 2e-5, [&](const KernelTable& table, float* y) {
      std::copy(a.begin(), a.end(), y);
      for (float& value : std::span(y, a.size())) value += 20;  // far from its mean
      table.layer_norm(y, b.data(), a.data(), 1e-2f, n, y);
    });
    compare("add", 0, [&](const KernelTable& table, float* y) {
      std::copy(b.begin(), b.end(), y);
      table.add(a.data(), n, y);
    });
    compare("silu", 2e-6,
            [&](const KernelTable& table, float* y) { table.silu_mul(a.data(), b.data(), n, y); });
    compare("gelu", 2e-4, [&](const KernelTable& table, float* y) { table.gelu(a.data(), n, y); });
    compare("gelu_mul", 2e-4,
            [&](const KernelTable& table, float* y) { table.gelu_mul(a.data(), b.data(), n, y); });
    compare("softmax", 2e-6, [&](const KernelTable& table, float* y) {
      std::copy(a.begin(), a.end(), y);
      table.softmax(y, n);
    });
  }
}

// softmax({0, x}) tells exp(x): y[1] / y[0].
TEST_P(EveryTable, ExponentialsAreExact) {
  double worst = 0;
  for (float x = -80; x <= 0; x += 0.0137f) {
    float pair[2] = {0, x};
    k.softmax(pair, 2);
    worst = std::max(worst, std::fabs(pair[1] / double{pair[0]} / std::exp(double{x}) - 1));
  }
  EXPECT_LT(worst, 1e-6);
}

TEST_P(EveryTable, ActivationsOfExtremes) {
  const float gate[] = {-1e30f, -200, -50, 0, 50, 200, 1e30f}, up[] = {1, 1, 1, 1, 1, 1, 1};
  float y[7];
  for (auto* activate : {k.silu_mul, k.gelu_mul}) {
    activate(gate, up, 7, y);
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(y[i], 0, 1e-6);
    for (int i = 3; i < 7; ++i) EXPECT_FLOAT_EQ(y[i], gate[i]);
  }
  k.gelu(gate, 7, y);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(y[i], 0, 1e-6);
  for (int i = 3; i < 7; ++i) EXPECT_FLOAT_EQ(y[i], gate[i]);
  float nan[] = {NAN, 1};
  k.softmax(nan, 2);
  EXPECT_TRUE(std::isnan(nan[0]));
}

// A damaged model is known by its logits alone: a NaN must get there.
TEST_P(EveryTable, NoProductDropsANaN) {
  for (const Type type : kTypes) {
    const Matrix m(type, 17, 512, 5);
    for (const int64_t n_tokens : {1, 9}) {
      Activations x(k, n_tokens, 512, 7);
      x.values[300] = NAN;  // of the first token
      k.prepare(512, 32, x.rows[0]);
      for (const TileWeights weights : kTileWeights) {
        const auto y = multiply(k, m.view, 0, 17, x, n_tokens, weights);
        for (size_t i = 0; i < y.size(); ++i)
          ASSERT_EQ(std::isnan(y[i]), i < 17) << m.codec.name << " " << n_tokens << " " << i;
      }
    }
  }
}

TEST_P(EveryTable, NoProductDropsAScaleThatIsNone) {
  struct Place {
    Type type;
    size_t scale;
  };
  for (const auto& [type, scale] : {Place{Type::Q4_K, 0}, Place{Type::Q4_K, 2},
                                    Place{Type::Q6_K, 208}, Place{Type::IQ3_XXS, 0}})
    for (const uint16_t half : {0x7e00, 0x7c00, 0xfc00}) {
      Matrix m(type, 17, 768, 5);
      std::memcpy(m.bytes.data() + 1 + 3 * m.row_bytes + scale, &half, sizeof half);
      const Activations x(k, 9, 768, 7);
      for (const TileWeights weights : kTileWeights) {
        const auto y = multiply(k, m.view, 0, 17, x, 9, weights);
        for (size_t i = 0; i < y.size(); ++i)
          ASSERT_EQ(std::isfinite(y[i]), i % 17 != 3) << m.codec.name << " " << half << " " << i;
      }
    }
}

TEST_P(EveryTable, NothingElseDropsANaN) {
  const size_t n = 37;
  for (size_t place = 0; place < n; ++place) {
    std::vector<float> x(n, 1.0f), other(n, 1.0f), y(n, 1.0f);
    x[place] = NAN;
    const auto size = static_cast<int64_t>(n);
    for (auto* activate : {k.silu_mul, k.gelu_mul}) {
      activate(x.data(), other.data(), size, y.data());
      EXPECT_TRUE(std::isnan(y[place])) << place;
      activate(other.data(), x.data(), size, y.data());
      EXPECT_TRUE(std::isnan(y[place])) << place;
    }
    k.gelu(x.data(), size, y.data());
    EXPECT_TRUE(std::isnan(y[place])) << place;
    y.assign(n, 1.0f);
    k.add(x.data(), size, y.data());
    EXPECT_TRUE(std::isnan(y[place])) << place;
    k.rms_norm(x.data(), other.data(), 1e-5f, size, y.data());
    EXPECT_TRUE(std::ranges::all_of(y, [](float v) { return std::isnan(v); })) << place;
    k.layer_norm(x.data(), other.data(), other.data(), 1e-5f, size, y.data());
    EXPECT_TRUE(std::ranges::all_of(y, [](float v) { return std::isnan(v); })) << place;
    std::vector<uint16_t> halves(n);
    k.encode_row(Type::F16, x.data(), size, reinterpret_cast<uint8_t*>(halves.data()));
    EXPECT_TRUE(std::isnan(f16_to_f32(halves[place]))) << place;
    k.softmax(x.data(), size);
    EXPECT_TRUE(std::ranges::all_of(x, [](float v) { return std::isnan(v); })) << place;
  }
}

constexpr Type kCacheTypes[] = {Type::F16, Type::Q8_0, Type::Q4_0};

// Keys and values of one head as the cache holds them: side by side, another head's between.
struct CachedHead {
  CachedHead(const KernelTable& k, Type key, Type value, int64_t n_positions, int64_t head_dim,
             const std::vector<float>& keys, const std::vector<float>& values) {
    const auto n = static_cast<uint64_t>(head_dim);
    const auto key_bytes = static_cast<int64_t>(find_codec(key)->row_bytes(n));
    const int64_t row = key_bytes + static_cast<int64_t>(find_codec(value)->row_bytes(n)) + 6;
    bytes.resize(static_cast<size_t>(n_positions * row));
    for (int64_t p = 0; p < n_positions; ++p) {
      k.encode_row(key, keys.data() + p * head_dim, head_dim, bytes.data() + p * row);
      k.encode_row(value, values.data() + p * head_dim, head_dim,
                   bytes.data() + p * row + key_bytes);
    }
    rows = {key, value, bytes.data(), bytes.data() + key_bytes, row};
  }
  std::vector<uint8_t> bytes;
  KvRows rows;
};

TEST_P(EveryTable, AttentionDropsNoNaN) {
  const int64_t head_dim = 64, n_positions = 83;
  Scratch scratch;
  const std::vector<float> q(64, 0.1f), sound(static_cast<size_t>(head_dim * n_positions), 0.5f);
  for (const Type type : kCacheTypes)
    for (int64_t place = 0; place < n_positions; place += type == Type::F16 ? 1 : 9)
      for (const float damage : {NAN, INFINITY})
        for (const bool key : {true, false}) {
          std::vector<float> damaged = sound, out(64, 0.0f);
          damaged[static_cast<size_t>(place * head_dim + 11)] = damage;
          const CachedHead head(k, type, type, n_positions, head_dim, key ? damaged : sound,
                                key ? sound : damaged);
          const AttendQuery query = {q.data(), out.data(), 0, n_positions};
          k.attend(&query, 1, head.rows, head_dim, 0.125f, scratch.data());
          EXPECT_FALSE(std::isfinite(out[11]))
              << find_codec(type)->name << " " << place << " " << key << " " << damage;
        }
}

// Queries that 8-bit codes hold exactly, so that they are the same to all tables.
std::vector<float> coded_floats(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i)
    values[i] = i % 32 ? (static_cast<float>(random() % 255) - 127) / 64 : 127.0f / 64;
  return values;
}

TEST_P(EveryTable, AttendIsTheReferences) {
  Scratch scratch;
  for (const int64_t head_dim : {1, 7, 32, 48, 64, 96, 100, 128, 256, 512})
    for (const Type key : kCacheTypes)
      for (const Type value : kCacheTypes) {
        if (head_dim % 32 && (key != Type::F16 || value != Type::F16)) continue;
        const int64_t n_positions = 83;
        const auto n = static_cast<size_t>(n_positions * head_dim);
        auto values = random_floats(n, 4);
        for (float& v : values) v = v * v - 0.5f;
        const CachedHead head(k, key, value, n_positions, head_dim, random_floats(n, 3), values);
        for (const int64_t n_queries : {1, 3, 8, 40}) {
          const auto q = coded_floats(static_cast<size_t>(n_queries * head_dim), 8);
          std::vector<float> got(q.size(), NAN), expected(q.size(), NAN);
          std::vector<AttendQuery> queries, oracle;
          for (int64_t i = 0; i < n_queries; ++i) {
            // windows of all kinds: from nothing to everything, neighbours and strangers
            const int64_t end = (i * 29 + n_queries) % (n_positions + 1);
            const int64_t begin = i % 3 ? 0 : end / 2;
            queries.push_back({q.data() + i * head_dim, got.data() + i * head_dim, begin, end});
            oracle.push_back({q.data() + i * head_dim, expected.data() + i * head_dim, begin, end});
          }
          const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
          k.attend(queries.data(), n_queries, head.rows, head_dim, scale, scratch.data());
          kReferenceKernels.attend(oracle.data(), n_queries, head.rows, head_dim, scale,
                                   scratch.data());
          for (size_t i = 0; i < got.size(); ++i)
            ASSERT_NEAR(got[i], expected[i], 3e-5)
                << head_dim << " " << find_codec(key)->name << " " << find_codec(value)->name << " "
                << n_queries << " " << i;
        }
      }
}

double squared_error(Type type, const std::vector<float>& values, const std::vector<uint8_t>& row) {
  std::vector<float> decoded(values.size());
  find_codec(type)->decode(row.data(), decoded.data(), decoded.size());
  double error = 0;
  for (size_t i = 0; i < values.size(); ++i)
    error += (decoded[i] - values[i]) * (decoded[i] - values[i]);
  return error;
}

// Quick, and little worse than the codec's search, which the reference uses; better than the
// plainest way: the largest value on the last level.
TEST_P(EveryTable, CacheRowsLoseLittle) {
  for (const Type type : {Type::Q8_0, Type::Q4_0}) {
    const Codec& codec = *find_codec(type);
    const int last_level = type == Type::Q8_0 ? 127 : 8;
    double own = 0, reference = 0, plain = 0;
    for (uint32_t seed = 0; seed < 60; ++seed) {
      auto values = random_floats(128, seed, 1 + static_cast<float>(seed));
      values[seed] *= 4;
      std::vector<uint8_t> row(codec.row_bytes(128));
      k.encode_row(type, values.data(), 128, row.data());
      own += squared_error(type, values, row) / (1.0 + seed) / (1.0 + seed);
      kReferenceKernels.encode_row(type, values.data(), 128, row.data());
      reference += squared_error(type, values, row) / (1.0 + seed) / (1.0 + seed);
      for (size_t block = 0; block < 128; block += 32) {
        float largest = 0;
        for (size_t i = block; i < block + 32; ++i)
          if (std::fabs(values[i]) > std::fabs(largest)) largest = values[i];
        const float step = largest / -static_cast<float>(last_level);
        for (size_t i = block; i < block + 32; ++i) {
          const float level = std::clamp(std::nearbyint(values[i] / step),
                                         -static_cast<float>(last_level), last_level - 1.0f);
          plain += std::pow(level * step - values[i], 2) / (1.0 + seed) / (1.0 + seed);
        }
      }
    }
    EXPECT_LT(own, 1.1 * reference) << codec.name;
    EXPECT_LT(own, 0.95 * plain) << codec.name;
  }
}

TEST_P(EveryTable, CacheRowsOfZerosAndOfTheSmallest) {
  for (const Type type : kCacheTypes)
    for (const float value : {0.0f, 1e-30f, -1e-44f, 6e-8f}) {
      const std::vector<float> values(64, value);
      std::vector<uint8_t> row(find_codec(type)->row_bytes(64));
      k.encode_row(type, values.data(), 64, row.data());
      EXPECT_LT(squared_error(type, values, row), 64 * 1e-13) << find_codec(type)->name << value;
    }
}

TEST_P(EveryTable, RotationIsItsOwnInverseAndKeepsProducts) {
  for (const int64_t n : {1, 6, 8, 32, 64, 80, 96, 128, 192, 256, 512}) {
    const auto a = random_floats(static_cast<size_t>(n), 1), b = random_floats(a.size(), 2);
    auto a2 = a, b2 = b, oracle = a;
    k.rotate(a2.data(), n), k.rotate(b2.data(), n);
    kReferenceKernels.rotate(oracle.data(), n);
    double before = 0, after = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      before += double{a[i]} * b[i], after += double{a2[i]} * b2[i];
      ASSERT_NEAR(a2[i], oracle[i], 2e-6) << n << " " << i;
    }
    EXPECT_NEAR(before, after, 1e-5 * static_cast<double>(n)) << n;
    k.rotate(a2.data(), n);
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a2[i], a[i], 4e-6) << n << " " << i;
  }
  std::vector<float> outlier(64, 0.0f);
  outlier[5] = 8;
  k.rotate(outlier.data(), 64);
  for (const float v : outlier) EXPECT_FLOAT_EQ(std::fabs(v), 1);
}

TEST_P(EveryTable, EachProductForMeasuringIsMadeAndCounted) {
  int8_t codes[kPeakCodes];
  std::ranges::fill(codes, int8_t{2});
  float sum = 0;
  for (const int64_t rounds : {1, 3}) {
    const int64_t products = k.multiply_codes(codes, rounds, &sum);
    EXPECT_GE(products, rounds * kPeakCodes);
    EXPECT_EQ(sum, static_cast<float>(4 * products));
  }
}

TEST_P(EveryTable, HalfPrecisionRoundsToNearestEven) {
  auto values = random_floats(1003, 5, 100);
  values[0] = 65519, values[1] = 65520, values[2] = 1e-8f, values[3] = -0.0f, values[4] = 3e-6f;
  std::vector<uint16_t> got(values.size()), expected(values.size());
  k.encode_row(Type::F16, values.data(), 1003, reinterpret_cast<uint8_t*>(got.data()));
  for (size_t i = 0; i < values.size(); ++i) expected[i] = f32_to_f16(values[i]);
  EXPECT_EQ(got, expected);
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryTable,
                         ::testing::ValuesIn(available_kernels().begin(),
                                             available_kernels().end()),
                         [](const auto& table) { return std::string(table.param->isa); });

}  // namespace
}  // namespace enxuto
