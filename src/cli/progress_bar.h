// Progress of long work, drawn on standard error where that is a terminal, from the third second
// on.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "cli/remaining_time.h"
#include "cli/terminal_text.h"

namespace enxuto {

class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // From now on the bar is that of all these stages.
  void expect(std::vector<StageTime> stages);
  void show(std::string_view stage, double done);
  void erase();
  Progress callback() {
    return [this](std::string_view stage, double done) { show(stage, done); };
  }

 private:
  using Clock = std::chrono::steady_clock;
  Paint paint_;
  bool on_;
  bool drawn_ = false;
  std::string stage_;
  Clock::time_point start_, stage_start_, last_;
  std::optional<RemainingTime> remaining_;
};

// One frame: "calibrating ██████     62 %  14 s left". `columns` places at most.
std::string progress_line(std::string_view stage, double done, std::optional<double> left_seconds,
                          int columns);

// Where `done` has taken so many seconds; nothing while it cannot be told.
std::optional<double> seconds_left(double done, double seconds);

}  // namespace enxuto
