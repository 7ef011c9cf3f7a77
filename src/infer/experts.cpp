#include "infer/experts.h"

#include <algorithm>
#include <cmath>

#include "models/architectures.h"

namespace enxuto {
namespace {

// As in llama.cpp: shares are not divided by a sum below the least number of f16.
constexpr float kLeastSum = 0x1p-14f;

}  // namespace

// Those that are chosen bear a minus sign meanwhile.
void choose_experts(const HyperParameters& hyper, float* probabilities) {
  float* shares = probabilities;
  const uint32_t n = hyper.n_experts;
  float sum = 0;
  for (uint32_t k = 0; k < hyper.n_experts_used; ++k) {
    uint32_t best = n;
    for (uint32_t e = 0; e < n; ++e)
      if (!std::signbit(shares[e]) && (best == n || shares[e] > shares[best])) best = e;
    if (best == n) break;
    sum += shares[best];
    shares[best] = -shares[best];
  }
  const float scale = hyper.normalizes_experts ? 1 / std::max(sum, kLeastSum) : 1;
  for (uint32_t e = 0; e < n; ++e) shares[e] = std::signbit(shares[e]) ? -shares[e] * scale : 0;
}

// Shares that add up to 1 are a softmax of their own logits alone.
void choose_experts_gradient(const HyperParameters& hyper, const float* probabilities,
                             const float* shares, float* gradient) {
  const float* p = hyper.normalizes_experts ? shares : probabilities;
  const uint32_t n = hyper.n_experts;
  float mean = 0;
  for (uint32_t e = 0; e < n; ++e)
    if (shares[e] != 0) mean += p[e] * gradient[e];
  for (uint32_t e = 0; e < n; ++e) gradient[e] = p[e] * ((shares[e] != 0 ? gradient[e] : 0) - mean);
}

void add_balance_gradient(const HyperParameters& hyper, const float* probabilities,
                          const float* shares, int64_t n, float scale, float* gradient) {
  const int64_t n_experts = hyper.n_experts;
  float pull[kMostExperts] = {};  // the gradient by each token's probability
  for (int64_t i = 0; i < n * n_experts; ++i)
    if (shares[i] != 0) pull[i % n_experts] += 1;
  const double choices = static_cast<double>(n) * hyper.n_experts_used;
  const double each = scale * static_cast<double>(n_experts) / (choices * static_cast<double>(n));
  for (int64_t e = 0; e < n_experts; ++e) pull[e] = static_cast<float>(pull[e] * each);
  for (int64_t at = 0; at < n * n_experts; at += n_experts) {
    float mean = 0;
    for (int64_t e = 0; e < n_experts; ++e) mean += probabilities[at + e] * pull[e];
    for (int64_t e = 0; e < n_experts; ++e)
      gradient[at + e] += probabilities[at + e] * (pull[e] - mean);
  }
}

}  // namespace enxuto
