// Something over the steps of a training as a picture: lines, a band around them, dots.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace enxuto {

struct StepChart {
  using Points = std::vector<std::pair<double, double>>;  // (step, value), ascending
  std::string label;                                      // what the values are
  Points curve, faint, dots;
  std::vector<std::pair<double, double>> tokens;  // (step, tokens so far): a second row of ticks
  double height = 320;
  bool from_zero = false;
};

// An SVG; empty where the curve has no point.
std::string step_chart(const StepChart& chart);

// The largest of 1, 2 and 5 times a power of ten that is at most `most` > 0.
double round_step(double most);

}  // namespace enxuto
