// A run as metrics.jsonl tells it, in a few hundred points however long it was.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "cli/json_output.h"

namespace enxuto {

struct TrainHistory {
  static constexpr size_t kMostPoints = 512;  // of each list below

  struct Point {                                         // of some steps in a row
    uint64_t first_step = 0, last_step = 0, tokens = 0;  // tokens: since the run began
    double loss = 0, least_loss = 0, most_loss = 0;      // mean, and bounds of them
    double rate = 0;                                     // of the last one
    double seconds = 0;
    uint64_t own_tokens = 0;  // of these steps
    double tokens_per_second() const {
      return seconds > 0 ? static_cast<double>(own_tokens) / seconds : 0;
    }
  };
  struct Validation {
    uint64_t step = 0, tokens = 0;
    double loss = 0;
  };
  struct Sample {
    uint64_t step = 0;
    std::string text;
  };
  std::vector<Point> points;  // all of so many steps each, but the last one
  std::vector<Validation> validations;
  std::vector<Sample> samples;  // the first, and the last ones
};

// Line by line; a line that is cut off ends it.
Result<TrainHistory> read_train_history(const std::string& metrics_file);

// The keys `curve`, `validations` and `samples` of a report of train.
Json history_json(const TrainHistory& history);

}  // namespace enxuto
