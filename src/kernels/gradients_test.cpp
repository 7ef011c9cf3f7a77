// The backward pass's steps against differences of the forward ones (the scalar oracle's), and
// against what probability asks of labels that are drawn.
#include "kernels/cross_entropy.h"

#include <numeric>

#include "kernels/finite_difference.h"
#include "kernels/layer_norm_gradient.h"
#include "kernels/tables.h"
#include "kernels/weight_gradients.h"

namespace enxuto {
namespace {

const KernelTable& oracle() { return kReferenceKernels; }

TEST(Gradients, OfRmsNorm) {
  constexpr size_t kN = 77;
  std::vector<float> x = random_floats(kN, 1), y(kN), dx(kN);
  const auto weight = random_floats(kN, 2), dy = random_floats(kN, 3);
  const auto loss = [&] {
    oracle().rms_norm(x.data(), weight.data(), 0.25f, kN, y.data());
    return dot(y, dy);
  };
  for (const KernelTable* k : available_kernels()) {
    k->rms_norm_gradient(x.data(), weight.data(), 0.25f, kN, dy.data(), dx.data());
    expect_gradient(x, dx, loss, 1e-3);
    dx = dy;
    k->rms_norm_gradient(x.data(), weight.data(), 0.25f, kN, dx.data(), dx.data());
    expect_gradient(x, dx, loss, 1e-3);
  }
}

TEST(Gradients, OfLayerNorm) {
  constexpr size_t kN = 77, kRows = 5;
  std::vector<float> x = random_floats(kN * kRows, 1), y(x.size()), dx(x.size()), dw(kN), db(kN);
  for (float& value : x) value += 3;
  std::vector<float> weight = random_floats(kN, 2), bias = random_floats(kN, 4);
  const auto dy = random_floats(x.size(), 3);
  const auto loss = [&] {
    for (size_t at = 0; at < x.size(); at += kN)
      oracle().layer_norm(&x[at], weight.data(), bias.data(), 0.25f, kN, &y[at]);
    return dot(y, dy);
  };
  for (size_t at = 0; at < x.size(); at += kN)
    layer_norm_gradient(&x[at], weight.data(), 0.25f, kN, &dy[at], &dx[at]);
  expect_gradient(x, dx, loss, 1e-3);
  std::vector<float> in_place = dy;
  layer_norm_gradient(x.data(), weight.data(), 0.25f, kN, in_place.data(), in_place.data());
  EXPECT_TRUE(std::equal(in_place.begin(), in_place.begin() + kN, dx.begin()));
  ThreadTeam team(2);
  add_layer_norm_gradient(team, kRows, x.data(), dy.data(), 0.25f, kN, dw.data());
  expect_gradient(weight, dw, loss, 1e-3);
  add_bias_gradient(team, kRows, dy.data(), kN, db.data());
  expect_gradient(bias, db, loss, 1e-3);
}

TEST(Gradients, OfGelu) {
  std::vector<float> x = random_floats(150, 1, 3), y(x.size());
  x[0] = 0, x[1] = 40, x[2] = -40, x[3] = 1e-5f;
  const auto dy = random_floats(x.size(), 3);
  const auto loss = [&] {
    oracle().gelu(x.data(), 150, y.data());
    return dot(y, dy);
  };
  for (const KernelTable* k : available_kernels()) {
    std::vector<float> dx = x;
    k->gelu_gradient(dx.data(), dy.data(), 150);
    expect_gradient(x, dx, loss, 1e-3);
  }
}

TEST(Gradients, OfGates) {
  constexpr size_t kN = 150;
  std::vector<float> gate = random_floats(kN, 1, 3), up = random_floats(kN, 2), y(kN);
  gate[0] = 0, gate[1] = 40, gate[2] = -40, gate[3] = 1e-5f;
  const auto dy = random_floats(kN, 3);
  const auto expect = [&](auto* forward, auto* backward) {
    std::vector<float> dgate = gate, dup = up;
    backward(dgate.data(), dup.data(), dy.data(), kN);
    const auto loss = [&] {
      forward(gate.data(), up.data(), kN, y.data());
      return dot(y, dy);
    };
    expect_gradient(gate, dgate, loss, 1e-3);
    expect_gradient(up, dup, loss, 1e-3);
  };
  for (const KernelTable* k : available_kernels()) {
    expect(oracle().silu_mul, k->silu_mul_gradient);
    expect(oracle().gelu_mul, k->gelu_mul_gradient);
  }
}

constexpr size_t kVocabulary = 100, kSlices[] = {0, 37, 64, kVocabulary};
template <class Body>
void for_slices(std::span<float> logits, const Body& body) {
  for (size_t s = 0; s < 3; ++s)
    body(logits.subspan(kSlices[s], kSlices[s + 1] - kSlices[s]), static_cast<int64_t>(kSlices[s]));
}

double log_sum(std::span<const float> logits) {
  double sum = 0;
  for (const float z : logits) sum += std::exp(double{z});
  return std::log(sum);
}

TEST(Gradients, OfCrossEntropyInSlices) {
  std::vector<float> logits = random_floats(kVocabulary, 1, 3);
  for (const double uniform : {0.0, 0.3, 0.99}) {
    SampledCrossEntropy row;
    for_slices(logits, [&](auto slice, int64_t first) { row.add(slice, first, uniform); });
    ASSERT_GE(row.label(), 0);
    ASSERT_LT(row.label(), static_cast<int64_t>(kVocabulary));
    std::vector<float> gradient = logits;
    for_slices(gradient, [&](auto slice, int64_t first) { row.gradient(slice, first); });
    const auto loss = [&] { return log_sum(logits) - logits[static_cast<size_t>(row.label())]; };
    expect_gradient(logits, gradient, loss, 1e-3);
  }
}

TEST(Gradients, LabelsAreDrawnAsOftenAsTheModelSays) {
  constexpr int kDraws = 40'000;
  std::vector<float> logits = random_floats(kVocabulary, 1, 2);
  std::mt19937 random(5);
  std::uniform_real_distribution<double> uniform;
  std::vector<int> counts(kVocabulary);
  for (int i = 0; i < kDraws; ++i) {
    SampledCrossEntropy row;
    for_slices(logits, [&](auto slice, int64_t first) { row.add(slice, first, uniform(random)); });
    ++counts[static_cast<size_t>(row.label())];
  }
  double chi_squared = 0;
  for (size_t i = 0; i < kVocabulary; ++i) {
    const double expected = kDraws * std::exp(logits[i] - log_sum(logits));
    chi_squared += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  EXPECT_NEAR(chi_squared, kVocabulary - 1, 50);  // 3.5 standard deviations
}

}  // namespace
}  // namespace enxuto
