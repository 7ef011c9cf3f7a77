// Gradients of a mixture's routing by differences.
#include "infer/experts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace enxuto {
namespace {

constexpr int64_t kTokens = 7;
constexpr uint32_t kExperts = 5, kUsed = 2;

HyperParameters hyper() {
  HyperParameters h;
  h.n_experts = kExperts, h.n_experts_used = kUsed;
  return h;
}

std::vector<double> some_logits() {
  std::vector<double> logits(kTokens * kExperts);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = std::sin(static_cast<double>(i * i)) + (i % kExperts == 1);
  return logits;
}

std::vector<double> softmax(const double* logits) {
  std::vector<double> p(kExperts);
  double sum = 0;
  for (uint32_t e = 0; e < kExperts; ++e) sum += p[e] = std::exp(logits[e]);
  for (double& each : p) each /= sum;
  return p;
}

// Of choices that stay as they are: those that fell on each expert.
double balance_of(const std::vector<double>& logits, const std::vector<int>& chosen) {
  double loss = 0;
  for (int64_t t = 0; t < kTokens; ++t) {
    const std::vector<double> p = softmax(&logits[static_cast<size_t>(t * kExperts)]);
    for (uint32_t e = 0; e < kExperts; ++e)
      loss += kExperts * (chosen[e] / double{kTokens * kUsed}) * p[e] / kTokens;
  }
  return loss;
}

TEST(Experts, BalanceGradientIsThatOfTheLoss) {
  const std::vector<double> logits = some_logits();
  std::vector<float> probabilities, shares;
  std::vector<int> chosen(kExperts);
  for (int64_t t = 0; t < kTokens; ++t) {
    std::vector<float> row;
    for (const double p : softmax(&logits[static_cast<size_t>(t * kExperts)]))
      row.push_back(static_cast<float>(p));
    probabilities.insert(probabilities.end(), row.begin(), row.end());
    choose_experts(hyper(), row.data());
    for (uint32_t e = 0; e < kExperts; ++e) chosen[e] += row[e] != 0;
    shares.insert(shares.end(), row.begin(), row.end());
  }
  constexpr float kScale = 3, kBefore = 0.5f;
  std::vector<float> gradient(logits.size(), kBefore);  // it is added to what was there
  add_balance_gradient(hyper(), probabilities.data(), shares.data(), kTokens, kScale,
                       gradient.data());
  constexpr double kStep = 1e-5;
  for (size_t i = 0; i < logits.size(); ++i) {
    std::vector<double> more = logits, less = logits;
    more[i] += kStep, less[i] -= kStep;
    const double slope = (balance_of(more, chosen) - balance_of(less, chosen)) / (2 * kStep);
    EXPECT_NEAR(gradient[i] - kBefore, kScale * slope, 1e-5) << i;
  }
}

}  // namespace
}  // namespace enxuto
