#include "train/training_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "platform/clock.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

constexpr double kSecondsBetweenSaves = 600;
constexpr std::string_view kStepPrefix = "step-", kSuffix = ".gguf";
constexpr const char* kBest = "best.gguf";

std::string step_name(uint64_t step) { return fmt::format("step-{:010}.gguf", step); }

std::vector<std::string> step_names(const WorkFolder& folder) {
  std::vector<std::string> names = folder.names();
  std::erase_if(names, [](const std::string& name) {
    return !name.starts_with(kStepPrefix) || !name.ends_with(kSuffix);
  });
  return names;  // sorted: the numbers are padded
}

}  // namespace

std::string newest_checkpoint(const WorkFolder& folder) {
  const std::vector<std::string> names = step_names(folder);
  return names.empty() ? "" : folder.path(names.back());
}

TrainingRun::TrainingRun(Trainer& trainer, const Sequences& data, const WorkFolder& folder,
                         const RunSettings& settings, const RunState& state)
    : trainer_(trainer),
      batches_(trainer, data, settings.teacher),
      folder_(folder),
      settings_(settings),
      state_(state),
      saved_at_(std::chrono::steady_clock::now()) {}

Status TrainingRun::run(const std::function<void(const StepReport&)>& tell) {
  bool saved = false;
  while (state_.step < settings_.steps && !ended_early_) {
    ASSIGN_OR_RETURN(StepReport report, step());
    if (settings_.validate_every &&
        (state_.step % settings_.validate_every == 0 || state_.step == settings_.steps))
      TRY(validate(report));
    double stop_or_save[] = {interrupted() ? 1.0 : 0.0, save_is_due(state_.step) ? 1.0 : 0.0};
    TRY(trainer_.ranks().sum(stop_or_save));  // what one wants, all do
    const bool stops = stop_or_save[0] > 0;
    saved = stops || stop_or_save[1] > 0;
    if (saved) TRY(save(step_name(state_.step)));
    report.saved = saved;
    const bool validated = report.validation_loss.has_value();
    if (validated) TRY(trainer_.exchange_average());  // what was measured may be looked at
    tell(report);
    if (validated) TRY(trainer_.exchange_average());
    if (stops) return Status::interrupted();
  }
  if (!saved) TRY(save(step_name(state_.step)));
  TRY(restore_best());
  return trainer_.exchange_average();
}

// Nothing is to be done where the best came before there was patience, and was not kept.
Status TrainingRun::restore_best() {
  written_step_ = state_.step;
  const bool is_last = state_.best_step == state_.step;
  if (settings_.patience == 0 || is_last || !folder_.has(kBest)) return {};
  ASSIGN_OR_RETURN(const Checkpoint best, Checkpoint::open(folder_.path(kBest)));
  if (best.state().step != state_.best_step) return {};
  written_step_ = state_.best_step;
  return best.restore_weights(trainer_);
}

Result<double> TrainingRun::time_steps(double most_seconds) {
  constexpr int kMost = 4;  // the first touches the memory, and makes kernels
  const Ranks& ranks = trainer_.ranks();
  double least = 0, spent = 0;
  for (int i = 0; i == 0 || (i < kMost && spent < most_seconds); ++i) {
    ASSIGN_OR_RETURN(const StepReport report, step());
    double told[] = {ranks.first() ? report.seconds : 0, interrupted() ? 1.0 : 0.0};
    TRY(ranks.sum(told));  // the first one's clock holds for all
    if (told[1] > 0) return Status::interrupted();
    least = i < 2 ? told[0] : std::min(least, told[0]);
    spent += told[0];
  }
  return least;
}

Result<StepReport> TrainingRun::step() {
  const auto begin = std::chrono::steady_clock::now();
  const uint64_t n = trainer_.layout().sequences;
  const Batch batch = batches_.training(state_.sequence, n);
  StepReport report{};
  report.step = state_.step + 1;
  report.rate = settings_.rate.at(report.step);
  ASSIGN_OR_RETURN(report.result, trainer_.step(batch, report.rate));
  state_.sequence += n;
  ++state_.step;
  report.seconds = seconds_since(begin);
  return report;
}

// Of the average, where there is one.
Status TrainingRun::validate(StepReport& report) {
  TRY(trainer_.exchange_average());
  ASSIGN_OR_RETURN(const StepResult mean, batches_.validate());
  TRY(trainer_.exchange_average());
  if (mean.tokens == 0) return {};
  report.validation_loss = mean.loss;
  report.validation_kld = mean.kld;
  const bool better = state_.best_step == 0 || *report.validation_loss < state_.best_loss;
  state_.stale = better ? 0 : state_.stale + 1;
  if (better) state_.best_loss = *report.validation_loss, state_.best_step = state_.step;
  if (settings_.patience == 0) return {};
  ended_early_ = state_.stale >= settings_.patience;
  return better ? save(kBest) : Status();
}

bool TrainingRun::save_is_due(uint64_t step) const {
  if (step == settings_.steps) return true;
  if (settings_.save_every) return step % settings_.save_every == 0;
  return seconds_since(saved_at_) >= kSecondsBetweenSaves;
}

Status TrainingRun::save(const std::string& name) {
  TRY(write_checkpoint(trainer_, state_, folder_.path(name)));
  if (name == kBest) return {};
  saved_at_ = std::chrono::steady_clock::now();
  return trainer_.ranks().first() ? forget_old() : Status();
}

Status TrainingRun::forget_old() {
  const std::vector<std::string> names = step_names(folder_);
  for (size_t i = 0; i + settings_.keep < names.size(); ++i) TRY(folder_.remove(names[i]));
  return {};
}

}  // namespace enxuto
