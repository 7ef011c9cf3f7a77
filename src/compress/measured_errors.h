// Relative errors of weights in number formats, as measured: those that a state folder has, and
// those that are found now.
#pragma once

#include <map>
#include <vector>

#include "codecs/codec.h"
#include "compress/column_scales.h"
#include "compress/covariance_file.h"
#include "compress/importance.h"
#include "compress/sensitivity.h"
#include "compress/weights.h"
#include "compress/workbench.h"

namespace enxuto {

class MeasuredErrors {
 public:
  // What was asked of RowSample::relative_error.
  struct Question {
    size_t weight;  // its place in the list of weights
    Type type;
    bool as_written;
    auto operator<=>(const Question&) const = default;
  };
  // state: null where there is none; outlives this.
  static Result<MeasuredErrors> open(const State* state, const std::vector<Weight>& weights,
                                     uint32_t n_layers);

  bool knows(const Question& question) const { return errors_.contains(question); }
  double at(const Question& question) const { return errors_.at(question); }
  void add(const Question& question, double error) { errors_[question] = error; }
  // A layer's errors are there, or more of them than there were.
  Status keep(uint32_t layer);

 private:
  // As a record has it.
  struct Line {
    uint32_t weight, type;
    uint64_t as_written;
    double error;
  };
  MeasuredErrors(const State* state, const std::vector<Weight>& weights)
      : state_(state), weights_(weights) {}
  Status read(uint32_t layer);
  std::vector<Line> lines(uint32_t layer) const;
  const State* state_;
  const std::vector<Weight>& weights_;
  std::map<Question, double> errors_;
  std::map<uint32_t, size_t> kept_;  // lines, by layer
};

// What measuring goes by, side by side one for each weight.
struct MeasuringTask {
  const std::vector<Weight>& weights;
  const std::vector<std::vector<Type>>& menus;
  const std::vector<Sensitivity>& sensitivities;
  const Importance& importance;
  const ColumnScales& scales;
};
// The errors of each weight in each format of its menu as it would be written, and as it was
// probed; of one that is not surveyed what Prices compares it by. A stage of its own; what a state
// folder knows is not measured again.
Result<MeasuredErrors> measure_errors(const Workbench& bench, const MeasuringTask& task,
                                      CovarianceFile& covariances);

}  // namespace enxuto
