// What a training tells while it runs, and at its end.
#pragma once

#include <string>

#include "cli/json_output.h"
#include "cli/terminal_text.h"
#include "cli/train_setup.h"
#include "platform/log_file.h"
#include "train/training_run.h"

namespace enxuto {

// A line of JSON for each step, in a file that grows while it runs. After a resumption it goes on
// behind the step that was saved: what a lost step wrote is gone.
class MetricsFile {
 public:
  static Result<MetricsFile> open(const std::string& path, uint64_t steps_done);
  Status add(const StepReport& report, const std::string& sample);  // "": there is none

 private:
  explicit MetricsFile(LogFile file) : file_(std::move(file)) {}
  LogFile file_;
};

// A line on standard error: over and over where that is a terminal, else now and then.
class TrainProgress {
 public:
  TrainProgress(uint64_t steps, bool quiet);
  ~TrainProgress();
  TrainProgress(const TrainProgress&) = delete;
  TrainProgress& operator=(const TrainProgress&) = delete;

  void show(const StepReport& report);
  // Text below the line, which goes on underneath.
  void say(const std::string& text);

 private:
  std::string line(const StepReport& report) const;
  void erase();

  Paint paint_;
  uint64_t steps_;
  bool quiet_, terminal_, drawn_ = false;
  double seconds_per_step_ = 0;  // of late
  double mean_loss_ = 0;         // of late
  std::string validation_;
};

struct TrainResult {
  StepReport last{};
  RunState state;
  bool ended_early = false;
  uint64_t written_step = 0;  // after which the weights were as they are written
  uint64_t parameters = 0;
  std::optional<double> validation_loss;      // the last one
  std::optional<double> validation_kld;       // likewise, where there is a teacher
  double seconds = 0, tokens_per_second = 0;  // of all steps; the median step's
  uint64_t planned_bytes = 0, peak_rss_bytes = 0;
};
Json train_json(const TrainResult& result, const TrainSetup& setup);
void print_train(const TrainResult& result, const TrainSetup& setup);

}  // namespace enxuto
