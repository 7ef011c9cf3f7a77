// Progress of long work, drawn on standard error where that is a terminal, from the third second
// on.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "cli/terminal_text.h"

namespace enxuto {

class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

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
};

// One frame: "calibrating ██████     62 %  14 s left". `columns` places at most.
std::string progress_line(std::string_view stage, double done, double seconds, int columns);

}  // namespace enxuto
