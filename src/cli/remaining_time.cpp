#include "cli/remaining_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace enxuto {

RemainingTime::RemainingTime(std::vector<StageTime> stages) : stages_(std::move(stages)) {
  for (const StageTime& stage : stages_) total_ += stage.seconds;
}

bool RemainingTime::knows(std::string_view stage) const {
  return std::ranges::find(stages_, stage, &StageTime::stage) != stages_.end();
}

void RemainingTime::see(std::string_view stage, double done, double seconds) {
  constexpr double kTrust = 0.05;  // the forecast counts as much as this part of the work
  const auto found = std::ranges::find(stages_, stage, &StageTime::stage);
  if (found == stages_.end()) return;
  const auto at = static_cast<size_t>(found - stages_.begin());
  done = std::clamp(done, 0.0, 1.0);
  if (!begun_ || at != current_) {
    if (begun_) worked_ += (1 - stage_done_) * stages_[current_].seconds;
    begun_ = true, current_ = at, from_ = done, stage_done_ = 0;
    before_ = 0;
    for (size_t i = 0; i < at; ++i) before_ += stages_[i].seconds;
  }
  done = from_ < 1 ? std::max(0.0, done - from_) / (1 - from_) : 1;
  worked_ += std::max(0.0, done - stage_done_) * found->seconds;
  stage_done_ = done;
  position_ = before_ + done * found->seconds;
  const double trust = kTrust * total_;
  if (worked_ + trust > 0) slowness_ = (seconds + trust) / (worked_ + trust);
}

double RemainingTime::done() const { return total_ > 0 ? position_ / total_ : 0; }

std::string rough_time(double seconds) {
  if (seconds < 10) return "a few seconds";
  if (seconds < 95) return fmt::format("about {:.0f} s", std::round(seconds / 10) * 10);
  const auto minutes = static_cast<long>(std::round(std::min(seconds, 1e9) / 60));
  if (minutes < 100) return fmt::format("about {} min", minutes);
  return fmt::format("about {} h {:02} min", minutes / 60, minutes % 60 / 10 * 10);
}

}  // namespace enxuto
