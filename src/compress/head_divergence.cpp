#include "compress/head_divergence.h"

#include "kernels/row_sums.h"

namespace enxuto {

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
