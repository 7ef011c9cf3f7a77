#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/clock.h"

namespace enxuto {
namespace {

constexpr double kQuietSeconds = 2.0;
constexpr double kFrameSeconds = 0.1;

std::string remaining_time(std::optional<double> seconds) {
  if (!seconds) return "";
  const auto left = static_cast<long>(std::ceil(*seconds));
  if (left >= 3600) return fmt::format("{} h {:02} min left", left / 3600, left / 60 % 60);
  if (left >= 100) return fmt::format("{} min {:02} s left", left / 60, left % 60);
  return fmt::format("{} s left", left);
}

}  // namespace

std::optional<double> seconds_left(double done, double seconds) {
  if (done < 0.02 || seconds < 1) return {};
  return seconds * (1 - done) / done;
}

std::string progress_line(std::string_view stage, double done, std::optional<double> left_seconds,
                          int columns) {
  done = std::clamp(done, 0.0, 1.0);
  const std::string tail =
      fmt::format("{:3.0f} %  {}", std::floor(done * 100), remaining_time(left_seconds));
  const int room = columns - 4 - static_cast<int>(display_width(stage)) -
                   static_cast<int>(std::max<size_t>(20, display_width(tail)));
  if (room < 4) return fmt::format("{} {}", stage, tail).substr(0, std::max(0, columns - 1));
  const int width = std::min(room, 40);
  const std::string filled = bar(done, width);
  const std::string space(static_cast<size_t>(width) - display_width(filled), ' ');
  return fmt::format("{} {}{} {}", stage, filled, space, tail);
}

ProgressBar::ProgressBar()
    : paint_(Stream::kError), on_(is_terminal(Stream::kError)), start_(Clock::now()) {
  stage_start_ = last_ = start_;
}

ProgressBar::~ProgressBar() { erase(); }

void ProgressBar::erase() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
  std::fflush(stderr);
}

void ProgressBar::expect(std::vector<StageTime> stages) {
  remaining_.emplace(std::move(stages));
  start_ = Clock::now();
}

void ProgressBar::show(std::string_view stage, double done) {
  if (!on_) return;
  // What nobody has forecast has a bar of its own.
  const bool forecast = remaining_ && remaining_->knows(stage);
  if (forecast) remaining_->see(stage, done, seconds_since(start_));
  if (stage != stage_) {
    stage_ = stage;
    stage_start_ = Clock::now();
  } else if (seconds_since(last_) < kFrameSeconds) {
    return;
  }
  if (seconds_since(start_) < kQuietSeconds) return;
  last_ = Clock::now();
  std::optional<double> left = seconds_left(done, seconds_since(stage_start_));
  if (forecast) done = remaining_->done(), left = remaining_->seconds_left();
  fmt::print(stderr, "\r{}\033[K", progress_line(stage, done, left, terminal_columns()));
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace enxuto
