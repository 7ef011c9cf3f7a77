// How much of work in stages is done and how long the rest takes: what was forecast, corrected by
// how long what is done has taken.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"

namespace enxuto {

class RemainingTime {
 public:
  explicit RemainingTime(std::vector<StageTime> stages);

  bool knows(std::string_view stage) const;
  // `stage` has come to `done` in [0, 1], so many seconds after the start. What a stage has done
  // when it is first seen is not in its forecast; stages that are left out took no time.
  void see(std::string_view stage, double done, double seconds);
  double done() const;  // of all, in [0, 1]
  double seconds_left() const { return (total_ - position_) * slowness_; }

 private:
  std::vector<StageTime> stages_;
  size_t current_ = 0;
  bool begun_ = false;
  double before_ = 0;                             // forecast of the stages before the current one
  double from_ = 0, stage_done_ = 0;              // where that one began, and its share since
  double total_ = 0, position_ = 0, worked_ = 0;  // seconds as forecast
  double slowness_ = 1;
};

// "about 40 s", "about 12 min", "about 2 h 10 min".
std::string rough_time(double seconds);

}  // namespace enxuto
