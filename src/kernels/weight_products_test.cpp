// Products with weights of any format against plain sums over their decoded values.
#include "kernels/weight_products.h"

#include "kernels/finite_difference.h"

namespace enxuto {
namespace {

struct Matrix {
  Matrix(Type type, int64_t rows, int64_t columns) {
    const Codec& codec = *find_codec(type);
    const auto n = static_cast<size_t>(columns);
    values = random_floats(static_cast<size_t>(rows) * n, 1);
    const uint64_t row_bytes = codec.row_bytes(n);
    bytes.resize(static_cast<size_t>(rows) * row_bytes);
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r)
      codec.encode(values.data() + r * n, nullptr, bytes.data() + r * row_bytes, n);
    codec.decode(bytes.data(), values.data(), values.size());
    view = {type, rows, columns, row_bytes, {{0, bytes.data()}}};
  }
  // The same rows in pieces, in places of their own.
  WeightRows in_pieces(std::initializer_list<int64_t> firsts) {
    WeightRows w = view;
    w.pieces.clear();
    for (const int64_t first : firsts) {
      copies.push_back({bytes.begin() + first * static_cast<int64_t>(view.row_bytes), bytes.end()});
      w.pieces.push_back({first, copies.back().data()});
    }
    return w;
  }
  float at(int64_t r, int64_t c) const { return values[static_cast<size_t>(r * view.columns + c)]; }
  std::vector<float> values;
  std::vector<uint8_t> bytes;
  std::vector<std::vector<uint8_t>> copies;
  WeightRows view;
};

constexpr int64_t kTokens = 5;
std::vector<float> tokens(int64_t columns, uint32_t seed) {
  return random_floats(static_cast<size_t>(kTokens * columns), seed);
}

struct Products {
  explicit Products(int n_threads = 1)
      : team(n_threads), scratch(WeightProducts::scratch_floats(n_threads)) {}
  WeightProducts of() { return {*Dense::load(), team, scratch.data()}; }
  // Inputs rounded to bf16, of at most so many values both.
  WeightProducts rounding(size_t values) {
    rounded.resize(values);
    return {*Dense::load(), team, scratch.data(), rounded.data()};
  }
  ThreadTeam team;
  std::vector<float> scratch;
  std::vector<uint16_t> rounded;
};

TEST(WeightProducts, AreSumsOverTheDecodedWeights) {
  const struct {
    Type type;
    int64_t rows, columns;
  } shapes[] = {{Type::F32, 1, 1},      {Type::F16, 300, 341}, {Type::BF16, 70, 96},
                {Type::Q8_0, 513, 288}, {Type::Q4_K, 65, 512}, {Type::IQ2_XS, 64, 768}};
  for (const auto& [type, rows, columns] : shapes) {
    SCOPED_TRACE(find_codec(type)->name);
    const Matrix w(type, rows, columns);
    Products products;
    const auto x = tokens(columns, 2), dy = tokens(rows, 3), was = tokens(columns, 4);
    const auto bias = random_floats(static_cast<size_t>(rows), 5);
    std::vector<float> y(dy.size(), NAN), dx = was;
    products.of().forward(w.view, x.data(), kTokens, bias.data(), y.data());
    products.of().backward(w.view, dy.data(), kTokens, 0.5f, dx.data());
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t r = 0; r < rows; ++r) {
        double sum = bias[static_cast<size_t>(r)];
        for (int64_t c = 0; c < columns; ++c)
          sum += double{w.at(r, c)} * x[static_cast<size_t>(t * columns + c)];
        ASSERT_NEAR(y[static_cast<size_t>(t * rows + r)], sum, 1e-3) << t << " " << r;
      }
      for (int64_t c = 0; c < columns; ++c) {
        double sum = 0.5 * was[static_cast<size_t>(t * columns + c)];
        for (int64_t r = 0; r < rows; ++r)
          sum += double{w.at(r, c)} * dy[static_cast<size_t>(t * rows + r)];
        ASSERT_NEAR(dx[static_cast<size_t>(t * columns + c)], sum, 1e-3) << t << " " << c;
      }
    }
  }
}

TEST(WeightProducts, DependNeitherOnThreadsNorOnPieces) {
  Matrix w(Type::Q4_0, 600, 352);
  const WeightRows cut = w.in_pieces({0, 1, 100, 257, 599});
  Products one, many(3);
  const auto x = tokens(352, 2), dy = tokens(600, 3);
  std::vector<float> y1(dy.size()), y2(dy.size()), dx1(x.size()), dx2(x.size());
  one.of().forward(w.view, x.data(), kTokens, nullptr, y1.data());
  many.of().forward(cut, x.data(), kTokens, nullptr, y2.data());
  EXPECT_EQ(y1, y2);
  one.of().backward(w.view, dy.data(), kTokens, 0, dx1.data());
  many.of().backward(cut, dy.data(), kTokens, 0, dx2.data());
  EXPECT_EQ(dx1, dx2);
}

TEST(WeightProducts, AddUpTheGradientByTheWeights) {
  constexpr int64_t kRows = 300, kColumns = 70;
  Products one, many(3);
  const auto x = tokens(kColumns, 2), dy = tokens(kRows, 3);
  const auto was = random_floats(kRows * kColumns, 4);
  std::vector<float> dw = was, again = was;
  one.of().add_gradient(dy.data(), kRows, x.data(), kColumns, kTokens, dw.data());
  many.of().add_gradient(dy.data(), kRows, x.data(), kColumns, kTokens, again.data());
  EXPECT_EQ(dw, again);
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < kColumns; ++c) {
      double sum = was[static_cast<size_t>(r * kColumns + c)];
      for (int64_t t = 0; t < kTokens; ++t)
        sum += double{dy[static_cast<size_t>(t * kRows + r)]} *
               x[static_cast<size_t>(t * kColumns + c)];
      ASSERT_NEAR(dw[static_cast<size_t>(r * kColumns + c)], sum, 1e-4);
    }
}

// Where the processor multiplies such numbers; where it does not, nobody may ask for it.
TEST(WeightProducts, OfRoundedInputsAreThoseOfTheirRoundedValues) {
  constexpr int64_t kRows = 300, kColumns = 352;
  if (!Dense::load()->multiplies_bf16()) return;
  const Matrix w(Type::Q8_0, kRows, kColumns);
  Products exact, rounding;
  const WeightProducts products = rounding.rounding(kTokens * (kRows + kColumns));
  const auto x = tokens(kColumns, 2), dy = tokens(kRows, 3);
  const auto expect_near = [](const std::vector<float>& a, const std::vector<float>& b) {
    double apart = 0, size = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      apart += std::pow(double{a[i]} - b[i], 2);
      size += std::pow(double{b[i]}, 2);
    }
    EXPECT_GT(apart, 0);  // they were rounded
    EXPECT_LT(apart, 0x1p-14 * size);
  };
  std::vector<float> y(dy.size()), y0(dy.size()), dx(x.size()), dx0(x.size());
  std::vector<float> dw(kRows * kColumns), dw0(kRows * kColumns);
  products.forward(w.view, x.data(), kTokens, nullptr, y.data());
  exact.of().forward(w.view, x.data(), kTokens, nullptr, y0.data());
  expect_near(y, y0);
  products.backward(w.view, dy.data(), kTokens, 0, dx.data());
  exact.of().backward(w.view, dy.data(), kTokens, 0, dx0.data());
  expect_near(dx, dx0);
  products.add_gradient(dy.data(), kRows, x.data(), kColumns, kTokens, dw.data());
  exact.of().add_gradient(dy.data(), kRows, x.data(), kColumns, kTokens, dw0.data());
  expect_near(dw, dw0);
}

}  // namespace
}  // namespace enxuto
