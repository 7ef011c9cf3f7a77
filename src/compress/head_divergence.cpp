#include "compress/head_divergence.h"

#include <algorithm>
#include <cmath>

#include "infer/row_sums.h"

namespace enxuto {

double ExponentialSum::add(std::span<const float> logits) {
  const float most = *std::max_element(logits.begin(), logits.end());
  const double before = top;
  top = std::max(top, static_cast<double>(most));
  const double rescale = std::exp(before - top);
  const auto from = static_cast<float>(top);
  sum = sum * rescale +
        sum_of(logits.size(), [&](size_t i) { return exp_below_zero(logits[i] - from); });
  return rescale;
}

double ExponentialSum::log() const { return top + std::log(sum); }

void ReferenceRow::add(std::span<const float> logits, std::span<float> weights) {
  rescale_ = sum_.add(logits);
  const auto top = static_cast<float>(sum_.top);
  for (size_t i = 0; i < logits.size(); ++i) weights[i] = exp_below_zero(logits[i] - top);
}

void DisturbedRow::add(const ReferenceRow& reference, std::span<const float> reference_logits,
                       std::span<const float> weights, std::span<const float> logits) {
  sum_.add(logits);
  difference_ = difference_ * reference.rescale() + sum_of(logits.size(), [&](size_t i) {
                  return weights[i] * (reference_logits[i] - logits[i]);
                });
}

double DisturbedRow::kld(const ReferenceRow& reference) const {
  return difference_ / reference.sum().sum - reference.sum().log() + sum_.log();
}

}  // namespace enxuto
