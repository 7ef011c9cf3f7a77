#include "kernels/distillation.h"

#include <algorithm>
#include <cmath>

#include "kernels/cross_entropy.h"

namespace enxuto {
namespace {

constexpr float kNothing = -1e30f;      // a logit that counts no more
constexpr double kLeastOthers = 1e-30;  // of the student: their quotient stays a number

double p_of_others(const Taught& taught) { return std::exp(double{taught.log_p.back()}); }

double log_others(const ExponentialSum& others, const ExponentialSum& sum) {
  return std::max(others.log() - sum.log(), std::log(kLeastOthers));
}

// body(i, place): the teacher's i-th token lies at this place of a slice.
template <class Body>
void for_tokens_within(const Taught& taught, int64_t first, size_t n, const Body& body) {
  const auto from = std::ranges::lower_bound(taught.tokens, first);
  for (auto i = static_cast<size_t>(from - taught.tokens.begin()); i < taught.tokens.size(); ++i) {
    const auto place = static_cast<size_t>(taught.tokens[i] - first);
    if (place >= n) return;
    body(i, place);
  }
}

}  // namespace

void TaughtLoss::add(const Taught& taught, int64_t first, std::span<float> logits) {
  for_tokens_within(taught, first, logits.size(), [&](size_t i, size_t place) {
    const double p = std::exp(double{taught.log_p[i]});
    cross += p * (double{taught.log_p[i]} - logits[place]);
    mass += p;
    logits[place] = kNothing;
  });
  others.add(logits);
}

// The teacher's probabilities are rounded: they are taken as shares of their sum.
double TaughtLoss::loss(const Taught& taught, const ExponentialSum& sum) const {
  const double rest = p_of_others(taught), all = mass + rest;
  const double of_others = rest * (double{taught.log_p.back()} - log_others(others, sum));
  return (cross + mass * sum.log() + of_others) / all - std::log(all);
}

void mixed_gradient(const TaughtLoss& loss, const Taught& taught, float weight,
                    const ExponentialSum& sum, int64_t label, int64_t first,
                    std::span<float> logits) {
  constexpr int64_t kNoLabel = -1;
  cross_entropy_gradient(sum, kNoLabel, first, logits);
  const double rest = p_of_others(taught), share = weight / (loss.mass + rest);
  const auto of_others =
      static_cast<float>(1 - share * rest / std::exp(log_others(loss.others, sum)));
  auto* at = logits.data();
  const auto scale_until = [&](float* end) {
    for (; at < end; ++at) *at *= of_others;
  };
  for_tokens_within(taught, first, logits.size(), [&](size_t i, size_t place) {
    scale_until(&logits[place]);
    *at++ -= static_cast<float>(share * std::exp(double{taught.log_p[i]}));
  });
  scale_until(logits.data() + logits.size());
  if (label >= first && label - first < static_cast<int64_t>(logits.size()))
    logits[static_cast<size_t>(label - first)] -= 1 - weight;
}

}  // namespace enxuto
