// A run of training: batches in their order, the learning rate's course, validation, checkpoints.
// All that it does follows from the data, the settings and the step it is at: whoever goes on from
// a checkpoint comes to the same weights, bit for bit. All ranks go through the same run; the first
// one writes its checkpoints.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "platform/work_folder.h"
#include "train/batches.h"
#include "train/learning_rate.h"
#include "train/model_file.h"

namespace enxuto {

struct RunSettings {
  uint64_t steps = 0;
  LearningRate rate;
  uint64_t validate_every = 0;       // steps; 0: never
  uint32_t patience = 0;             // validations without a better loss until it ends; 0: no end
  uint64_t save_every = 0;           // steps; 0: each ten minutes
  uint32_t keep = 2;                 // checkpoints
  const Teacher* teacher = nullptr;  // of a trainer with one
};

struct StepReport {
  uint64_t step;  // from 1
  StepResult result;
  float rate;
  double seconds;                         // of the step
  std::optional<double> validation_loss;  // nats, where there was one after the step
  std::optional<double> validation_kld;   // and from the teacher, where there is one
  bool saved;
};

class TrainingRun {
 public:
  // folder: where checkpoints go. state: zero, or as it was saved.
  TrainingRun(Trainer& trainer, const Sequences& data, const WorkFolder& folder,
              const RunSettings& settings, const RunState& state);

  // Until the steps are done, or patience ends; the weights are then the last ones, or with
  // patience those that validated best, or the average of the one or the other. While a validation
  // is told, they are what it measured. A checkpoint stands for them, and where it was interrupted,
  // for the step it was at (kInterrupted).
  Status run(const std::function<void(const StepReport&)>& tell);

  // Makes the next steps only to see how long one takes, in seconds; after `most_seconds` no
  // more than one. The trainer is spent then: open another one for the run.
  Result<double> time_steps(double most_seconds);

  const RunState& state() const { return state_; }
  bool ended_early() const { return ended_early_; }
  uint64_t written_step() const { return written_step_; }  // after which the weights were so

 private:
  Result<StepReport> step();
  Status validate(StepReport& report);
  Status save(const std::string& name);
  Status restore_best();
  Status forget_old();
  bool save_is_due(uint64_t step) const;

  Trainer& trainer_;
  Batches batches_;
  const WorkFolder& folder_;
  RunSettings settings_;
  RunState state_;
  std::chrono::steady_clock::time_point saved_at_;
  bool ended_early_ = false;
  uint64_t written_step_ = 0;
};

// The newest checkpoint in a folder; empty where there is none.
std::string newest_checkpoint(const WorkFolder& folder);

}  // namespace enxuto
