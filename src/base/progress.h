// How long work tells of itself. Whoever works calls it now and then; whoever started the work
// prints, or not.
#pragma once

#include <functional>
#include <string_view>

namespace enxuto {

// stage: "calibrating"; done in [0, 1] of that stage. Called from one thread.
using Progress = std::function<void(std::string_view stage, double done)>;

// How long a stage is expected to take.
struct StageTime {
  std::string_view stage;
  double seconds;
};

}  // namespace enxuto
