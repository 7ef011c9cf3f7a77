#include "kernels/exponential_sum.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace enxuto {

double ExponentialSum::add(std::span<const float> logits) {
  const auto n = static_cast<int64_t>(logits.size());
  const double before = top;
  top = std::max(top, double{kernels().largest(logits.data(), n)});
  const double rescale = std::exp(before - top);
  sum = sum * rescale + kernels().sum_exponentials(logits.data(), n, static_cast<float>(top));
  return rescale;
}

double ExponentialSum::log() const { return top + std::log(sum); }

}  // namespace enxuto
