#include "kernels/exponential_sum.h"

#include <algorithm>
#include <cmath>

#include "kernels/row_sums.h"

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

}  // namespace enxuto
