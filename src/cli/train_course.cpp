#include "cli/train_course.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "platform/clock.h"

namespace enxuto {
namespace {

constexpr double kDefaultEpochs = 3;
constexpr float kExpertBalance = 0.01f;
// Validations of a run: 20, or fewer where they would take more than a twentieth of its time (a
// text forward takes a quarter of what it takes there and back).
constexpr uint64_t kValidations = 20, kStepsOfValidation = 5;

// Adapters bear 2e-4, small models large steps: in proportion to 1 / width, from GPT-2's 6e-4 at
// 768. What has learned already is only turned.
float default_rate(const TrainOptions& o, const Model& model) {
  if (o.learning.optimizer == Optimizer::kSgd) return 0.01f;
  if (o.learning.lora) return 2e-4f;
  if (!o.model.empty()) return 5e-5f;
  return std::clamp(6e-4f * 768 / static_cast<float>(model.hyper.width), 3e-4f, 3e-3f);
}

uint64_t n_validated(const TrainSetup& setup) {
  return std::min(setup.data->n_validation(), kMostValidationSequences);
}

// A validation in steps: it goes there only, a quarter of the way there, there again and back.
double validation_steps(const TrainSetup& setup) {
  return std::ceil(static_cast<double>(n_validated(setup)) / setup.request.sequences) / 4;
}

}  // namespace

RunSettings run_settings(const TrainSetup& setup) {
  const TrainOptions& o = setup.options;
  RunSettings s;
  const double epochs = o.epochs > 0 ? o.epochs : kDefaultEpochs;
  const double sequences = epochs * static_cast<double>(setup.data->n_training());
  s.steps =
      o.steps
          ? o.steps
          : static_cast<uint64_t>(std::max(1.0, std::ceil(sequences / setup.request.sequences)));
  s.rate = {o.rate > 0 ? o.rate : default_rate(o, *setup.model),
            o.warmup ? *o.warmup : s.steps / 20, s.steps, o.schedule};
  if (const uint64_t validated = n_validated(setup); validated > 0)
    s.validate_every = std::max<uint64_t>(
        {1, s.steps / kValidations, kStepsOfValidation * validated / setup.request.sequences});
  s.patience = o.patience, s.save_every = o.save_every, s.keep = o.keep;
  return s;
}

TrainerSettings trainer_settings(const TrainSetup& setup, const Ranks& ranks) {
  const TrainOptions& o = setup.options;
  TrainerSettings s;
  s.request = setup.request, s.ranks = &ranks;
  if (o.learning.optimizer == Optimizer::kSgd) s.beta1 = 0.9f;
  s.weight_decay = o.weight_decay, s.clip = o.clip, s.ema = o.learning.ema, s.seed = o.seed;
  s.teacher_weight = o.teacher_weight;
  s.expert_balance = o.expert_balance.value_or(o.model.empty() ? kExpertBalance : 0.0f);
  return s;
}

RunState state_at_start(const TrainSetup& setup) {
  RunState state;
  if (setup.checkpoint) state = setup.checkpoint->state();
  state.data = setup.data->file().fingerprint();
  state.batch = setup.request.sequences;
  state.steps = setup.options.hours > 0 ? setup.options.steps : 0;
  return state;
}

Status choose_steps(const Ranks& ranks, double seconds_spent, TrainSetup& setup) {
  constexpr double kMostShare = 0.01;  // of the time, for measuring it
  TrainOptions& o = setup.options;
  if (o.hours == 0) return {};
  const RunState state = state_at_start(setup);
  const auto begin = std::chrono::steady_clock::now();
  if (setup.checkpoint) o.steps = setup.checkpoint->state().steps;
  if (o.steps > 0) return {};
  double left[] = {ranks.first() ? o.hours * 3600 - seconds_spent : 0};
  TRY(ranks.sum(left));
  TrainerSettings untaught = trainer_settings(setup, ranks);
  untaught.request.teacher_top = 0;  // it is asked when it is known how often
  ASSIGN_OR_RETURN(const auto trainer, Trainer::open(setup.model, untaught));
  TrainingRun trial(*trainer, *setup.data, setup.folder, {}, state);
  ASSIGN_OR_RETURN(const double seconds, trial.time_steps(kMostShare * left[0]));
  double taken[] = {ranks.first() ? seconds_since(begin) : 0};
  TRY(ranks.sum(taken));
  o.steps = state.step + steps_within(left[0] - taken[0], seconds, validation_steps(setup));
  if (setup.proposal) {
    const double useful = kUsefulEpochs * static_cast<double>(setup.data->n_training());
    o.steps =
        std::clamp<uint64_t>(static_cast<uint64_t>(useful / setup.request.sequences), 1, o.steps);
  }
  return {};
}

std::string config_of(const TrainSetup& setup, const RunSettings& settings) {
  const TrainOptions& o = setup.options;
  const auto text = [](auto value) { return fmt::format("{}", value); };
  TrainOptions::Changes changes = {{"--steps", text(settings.steps)},
                                   {"--epochs", ""},
                                   {"--hours", ""},
                                   {"--context", text(setup.request.context)},
                                   {"--batch-size", text(setup.request.sequences)},
                                   {"--lr", text(settings.rate.most)},
                                   {"--warmup", text(settings.rate.warmup)},
                                   {"--seed", text(o.seed)},
                                   {"--report", ""},
                                   {"--metrics", ""}};
  if (setup.proposal)
    changes.insert(changes.end(), {{"--params", ""},
                                   {"--layers", text(o.n_layers)},
                                   {"--width", text(o.width)},
                                   {"--heads", text(o.n_heads)},
                                   {"--kv-heads", text(o.n_kv_heads)},
                                   {"--ffn", text(o.ffn_width)},
                                   {"--tokenizer", o.tokenizer}});
  return o.config_text(changes);
}

}  // namespace enxuto
