#include "kernels/cross_entropy.h"

#include "kernels/kernels.h"
#include "kernels/row_sums.h"

namespace enxuto {

// The label of the slices before stays with the probability that they have among all so far.
void SampledCrossEntropy::add(std::span<const float> logits, int64_t first, double uniform) {
  const double before = sum_.sum, kept = before * sum_.add(logits);
  double left = uniform * sum_.sum - kept;
  if (left < 0) return;
  const auto top = static_cast<float>(sum_.top);
  size_t i = 0;
  for (; i + 1 < logits.size(); ++i)
    if ((left -= exp_below_zero(logits[i] - top)) < 0) break;
  label_ = first + static_cast<int64_t>(i);
}

void cross_entropy_gradient(const ExponentialSum& sum, int64_t label, int64_t first,
                            std::span<float> logits, float scale) {
  const auto n = static_cast<int64_t>(logits.size());
  kernels().exponentials(logits.data(), n, static_cast<float>(sum.top),
                         static_cast<float>(scale / sum.sum));
  if (label >= first && label - first < n) logits[static_cast<size_t>(label - first)] -= scale;
}

}  // namespace enxuto
