#include "infer/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace enxuto {
namespace {

// How many candidates are put in order at first, where only the likeliest few matter.
constexpr size_t kFirstSorted = 256;

uint64_t splitmix64(uint64_t& state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

}  // namespace

bool Sampler::Candidate::operator<(const Candidate& other) const {
  return logit != other.logit ? logit > other.logit : token < other.token;
}

Sampler::Sampler(const SamplingOptions& options) : options_(options) {
  uint64_t seed = options.seed;
  for (uint64_t& word : state_) word = splitmix64(seed);
}

void Sampler::accept(Token token) {
  if (options_.repeat_last_n <= 0) return;
  if (recent_.size() < static_cast<size_t>(options_.repeat_last_n)) {
    recent_.push_back(token);
    return;
  }
  recent_[oldest_] = token;
  oldest_ = (oldest_ + 1) % recent_.size();
}

Token Sampler::sample(std::span<const float> logits) {
  penalize(logits);
  return choose();
}

Token Sampler::sample(std::span<const float> logits, const TokenSet& allowed) {
  penalize(logits);
  std::erase_if(candidates_, [&](const Candidate& c) { return !allowed.contains(c.token); });
  return choose();
}

Token Sampler::choose() {
  if (options_.temperature <= 0)
    return std::min_element(candidates_.begin(), candidates_.end())->token;
  keep_top_k();
  keep_top_p();
  keep_min_p();
  return draw();
}

void Sampler::penalize(std::span<const float> logits) {
  candidates_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) candidates_[i] = {static_cast<Token>(i), logits[i]};
  sorted_ = false;
  if (options_.repeat_penalty == 1.0f) return;
  for (const Token token : recent_) {
    if (token < 0 || static_cast<size_t>(token) >= logits.size()) continue;
    // From the untouched logit, so that a token seen twice is punished once.
    const float logit = logits[token];
    candidates_[token].logit =
        logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
  }
}

void Sampler::keep_top_k() {
  if (options_.top_k <= 0) return;
  const size_t k = std::min(candidates_.size(), static_cast<size_t>(options_.top_k));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(k),
                    candidates_.end());
  candidates_.resize(k);
  sorted_ = true;
}

// The fewest likeliest candidates whose probabilities add up to top_p.
void Sampler::keep_top_p() {
  if (options_.top_p >= 1.0f) return;
  const float most = std::min_element(candidates_.begin(), candidates_.end())->logit;
  double total = 0;
  for (const Candidate& c : candidates_) total += std::exp(static_cast<double>(c.logit) - most);
  size_t in_order = sorted_ ? candidates_.size() : 0;
  double sum = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (i == in_order) {  // put the next few in order, four times as many each time
      in_order = std::min(candidates_.size(), std::max(kFirstSorted, 4 * in_order));
      std::partial_sort(candidates_.begin() + static_cast<ptrdiff_t>(i),
                        candidates_.begin() + static_cast<ptrdiff_t>(in_order), candidates_.end());
    }
    sum += std::exp(static_cast<double>(candidates_[i].logit) - most);
    if (sum >= options_.top_p * total) {
      candidates_.resize(i + 1);
      break;
    }
  }
  sorted_ = true;
}

// Those at least min_p times as likely as the likeliest.
void Sampler::keep_min_p() {
  if (options_.min_p <= 0.0f) return;
  const float most = std::min_element(candidates_.begin(), candidates_.end())->logit;
  const float least = most + std::log(std::min(options_.min_p, 1.0f));
  std::erase_if(candidates_, [&](const Candidate& c) { return c.logit < least; });
}

Token Sampler::draw() {
  const float most = std::min_element(candidates_.begin(), candidates_.end())->logit;
  const auto weight = [&](const Candidate& c) {
    return std::exp((static_cast<double>(c.logit) - most) / options_.temperature);
  };
  double total = 0;
  for (const Candidate& c : candidates_) total += weight(c);
  double left = static_cast<double>(random() >> 11) * 0x1p-53 * total;
  for (const Candidate& c : candidates_)
    if ((left -= weight(c)) < 0) return c.token;
  return candidates_.back().token;
}

uint64_t Sampler::random() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

}  // namespace enxuto
