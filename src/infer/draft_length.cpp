#include "infer/draft_length.h"

#include <algorithm>

namespace enxuto {
namespace {

constexpr double kNews = 0.2;      // weight of the newest pass in the averages
constexpr double kMemory = 64;     // guesses of a kind that are remembered
constexpr double kForgive = 0.05;  // after so many refusals a kind is tried again
// What guesses are worth before any was judged, by the length of the match.
constexpr double kFirstShares[] = {0.3, 0.5, 0.7, 0.85};
constexpr double kFirstWeight = 4;

}  // namespace

DraftLength::DraftLength(bool streams) : expected_share_(streams ? 0.05 : 0.8) {
  for (size_t i = 0; i < records_.size(); ++i)
    records_[i] = {kFirstShares[i] * kFirstWeight, kFirstWeight};
}

size_t DraftLength::kind(uint32_t match) { return match >= 5 ? 3 : match >= 3 ? 2 : match - 1; }

void DraftLength::passed(uint32_t n_tokens, double seconds) {
  if (n_tokens == 1 || one_ == 0) {
    const double alone = seconds / (1 + expected_share_ * (n_tokens - 1));
    if (one_ == 0) another_ = expected_share_ * alone;
    one_ += (one_ == 0 ? 1 : kNews) * (alone - one_);
  } else {
    one_ = std::min(one_, seconds);
    another_ += kNews * ((seconds - one_) / (n_tokens - 1) - another_);
  }
}

void DraftLength::judge(uint32_t match, bool right) {
  Record& record = records_[kind(match)];
  record.right += right, record.judged += 1;
  if (record.judged > kMemory) record.right *= kMemory / record.judged, record.judged = kMemory;
}

uint32_t DraftLength::choose(uint32_t match, uint32_t most) {
  if (match == 0 || most == 0) return 0;
  Record& record = records_[kind(match)];
  const double one = one_ > 0 ? one_ : 1, another = one_ > 0 ? another_ : expected_share_;
  uint32_t best = 0;
  double best_speed = 1 / one, tokens = 1, chance = 1;
  for (uint32_t n = 1; n <= most; ++n) {
    chance *= record.share();
    tokens += chance;
    const double speed = tokens / (one + n * another);
    if (speed > best_speed) best = n, best_speed = speed;
  }
  if (best == 0) {  // neither a run of bad luck nor a busy machine is for ever
    const double first = kFirstShares[kind(match)];
    record.right += kForgive * (first * record.judged - record.right);
    another_ += kForgive * (expected_share_ * one_ - another_);
  }
  return best;
}

}  // namespace enxuto
