// train: a new model, or one further.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "cli/train_report.h"
#include "cli/train_setup.h"
#include "infer/sampler.h"
#include "platform/clock.h"
#include "platform/limit_watch.h"
#include "platform/memory_probe.h"

namespace enxuto {
namespace {

constexpr double kDefaultEpochs = 3;
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

RunSettings run_settings(const TrainOptions& o, const TrainSetup& setup) {
  RunSettings s;
  const double epochs = o.epochs > 0 ? o.epochs : kDefaultEpochs;
  const double sequences = epochs * static_cast<double>(setup.data->n_training());
  s.steps =
      o.steps
          ? o.steps
          : static_cast<uint64_t>(std::max(1.0, std::ceil(sequences / setup.request.sequences)));
  s.rate = {o.rate > 0 ? o.rate : default_rate(o, *setup.model),
            o.warmup ? *o.warmup : s.steps / 20, s.steps, o.schedule};
  const uint64_t validated = std::min(setup.data->n_validation(), kMostValidationSequences);
  if (validated > 0)
    s.validate_every = std::max<uint64_t>(
        {1, s.steps / kValidations, kStepsOfValidation * validated / setup.request.sequences});
  s.patience = o.patience, s.save_every = o.save_every, s.keep = o.keep;
  return s;
}

TrainerSettings trainer_settings(const TrainOptions& o, const TrainSetup& setup,
                                 const Ranks& ranks) {
  TrainerSettings s;
  s.request = setup.request, s.ranks = &ranks;
  if (o.learning.optimizer == Optimizer::kSgd) s.beta1 = 0.9f;
  s.weight_decay = o.weight_decay, s.clip = o.clip, s.seed = o.seed;
  return s;
}

void tell_data(const TrainSetup& setup) {
  const DataCounts& c = setup.counts;
  if (const std::string found = setup.codec ? setup.codec->description() : ""; !found.empty())
    print_note("found\n" + printable(found, "\n"));
  print_note(fmt::format(
      "{} tokens of {} documents: {} sequences of {} to learn from, {} to measure on",
      format_count(c.tokens), format_count(c.documents), format_count(setup.data->n_training()),
      setup.request.context, format_count(setup.data->n_validation())));
  if (c.empty + c.corrupt > 0)
    print_note(
        fmt::format("left out: {} empty, {} that cannot be used{}", format_count(c.empty),
                    format_count(c.corrupt),
                    c.first_corrupt.empty() ? "" : ", the first " + printable(c.first_corrupt)));
}

std::string of_each_rank(const TrainSetup& setup) {
  const uint32_t ranks = setup.request.ranks;
  return ranks == 1 ? "" : fmt::format("each of {} ranks: ", ranks);
}

void tell_plan(const TrainOptions& o, const TrainSetup& setup, const RunSettings& settings,
               const TrainingLayout& layout, const MemoryMap& map) {
  tell_data(setup);
  const HyperParameters& h = setup.model->hyper;
  print_note(fmt::format(
      "{} parameters ({} layers of {}), {} steps of {} x {} tokens, {}{} of memory, {} thread{}",
      format_count(layout.n_parameters), h.n_layers, h.width, format_count(settings.steps),
      layout.sequences, layout.context, of_each_rank(setup), format_bytes(map.total_bytes()),
      o.threads(), o.threads() == 1 ? "" : "s"));
}

// Continues a text with the weights as they are. Of a prompt that leaves no room only the end
// counts.
Result<std::string> sample_text(Trainer& trainer, const Tokenizer& tokenizer,
                                const std::string& prompt) {
  constexpr size_t kTokens = 48;
  Session& session = trainer.session();
  session.rewind(0);
  std::vector<Token> tokens = tokenizer.encode(prompt, true, false);
  if (tokens.empty()) tokens.push_back(std::max(tokenizer.bos(), 0));
  const size_t room = session.context() - std::min<size_t>(kTokens, session.context() / 2);
  if (tokens.size() > room)
    tokens.erase(tokens.begin(), tokens.end() - static_cast<std::ptrdiff_t>(room));
  Sampler sampler(SamplingOptions{});
  std::string text = prompt;
  while (session.n_tokens() + tokens.size() <= session.context() && text.size() < 400) {
    ASSIGN_OR_RETURN(const auto logits, session.feed(tokens));
    tokens = {sampler.sample(logits)};
    if (tokenizer.ends_generation(tokens[0]) || session.n_tokens() >= room + kTokens) break;
    text += tokenizer.piece(tokens[0]);
  }
  return text;
}

RunState state_at_start(const TrainSetup& setup) {
  RunState state;
  if (setup.checkpoint) state = setup.checkpoint->state();
  state.data = setup.data->file().fingerprint();
  return state;
}

// The run, telling of each step.
class Run {
 public:
  Run(const TrainOptions& options, const TrainSetup& setup, const RunSettings& settings,
      Trainer& trainer, MetricsFile metrics)
      : options_(options),
        setup_(setup),
        settings_(settings),
        trainer_(trainer),
        metrics_(std::move(metrics)),
        progress_(settings.steps, options.json) {}

  Status run(TrainResult& result) {
    const RunState state = state_at_start(setup_);
    const uint64_t begin = state.step;
    TrainingRun run(trainer_, *setup_.data, setup_.folder, settings_, state);
    const Status done = run.run([&](const StepReport& report) { see(report, result); });
    result.state = run.state();
    result.ended_early = run.ended_early();
    if (done.code() == Code::kInterrupted && result.state.step > begin)
      progress_.say(fmt::format("enxuto: saved at step {}; the same command with --resume goes on",
                                result.state.step));
    if (!seconds_.empty()) {
      std::ranges::nth_element(seconds_, seconds_.begin() + seconds_.size() / 2);
      result.tokens_per_second =
          static_cast<double>(uint64_t{trainer_.layout().sequences} * trainer_.layout().context) /
          seconds_[seconds_.size() / 2];
    }
    return done;
  }

 private:
  void see(const StepReport& report, TrainResult& result) {
    result.last = report;
    if (report.validation_loss) result.validation_loss = *report.validation_loss;
    if (seconds_.size() < kMostSeconds) seconds_.push_back(report.seconds);
    note(metrics_.add(report));
    progress_.show(report);
    if (!report.validation_loss || options_.sample.empty()) return;
    const auto text = sample_text(trainer_, *setup_.tokenizer, options_.sample);
    if (text.ok()) progress_.say("    " + *text);
    note(text.status());
  }

  // What only tells of the run does not end it: the first failure is told, once.
  void note(const Status& status) {
    if (status.ok() || !told_.ok()) return;
    told_ = status;
    progress_.say("enxuto: " + status.what());
  }

  static constexpr size_t kMostSeconds = 10000;
  const TrainOptions& options_;
  const TrainSetup& setup_;
  RunSettings settings_;
  Trainer& trainer_;
  MetricsFile metrics_;
  TrainProgress progress_;
  std::vector<double> seconds_;
  Status told_;
};

// The first rank's run, which tells and writes for all.
Status lead(const TrainOptions& options, const TrainSetup& setup, const RunSettings& settings,
            Trainer& trainer, TrainResult& result) {
  if (!options.json) tell_plan(options, setup, settings, trainer.layout(), trainer.memory_map());
  ASSIGN_OR_RETURN(MetricsFile metrics, MetricsFile::open(options.metrics_file.empty()
                                                              ? setup.folder.path("metrics.jsonl")
                                                              : options.metrics_file,
                                                          trainer.steps()));
  TRY(Run(options, setup, settings, trainer, std::move(metrics)).run(result));
  return options.learning.lora
             ? write_adapter(*trainer.adapter(), *setup.model, options.output, true)
             : write_model(*trainer.model(), options.output, true);
}

Status follow(const TrainSetup& setup, const RunSettings& settings, Trainer& trainer) {
  TrainingRun run(trainer, *setup.data, setup.folder, settings, state_at_start(setup));
  return run.run([](const StepReport&) {});
}

Status train(const TrainOptions& options, const Ranks& ranks) {
  const auto begin = std::chrono::steady_clock::now();
  ProgressBar progress;
  auto setup = set_up_training(
      options, ranks, ranks.first() ? progress.callback() : [](std::string_view, double) {});
  progress.erase();
  TRY(setup.status());
  const RunSettings settings = run_settings(options, *setup);
  ASSIGN_OR_RETURN(const auto trainer,
                   Trainer::open(setup->model, trainer_settings(options, *setup, ranks)));
  if (setup->checkpoint) TRY(setup->checkpoint->restore(*trainer));
  watch_memory_limits(trainer->memory_map().total_bytes());
  if (!ranks.first()) return follow(*setup, settings, *trainer);
  TrainResult result;
  TRY(lead(options, *setup, settings, *trainer, result));
  result.parameters = trainer->layout().n_parameters;
  result.seconds = seconds_since(begin);
  result.planned_bytes = trainer->memory_map().total_bytes();
  result.peak_rss_bytes = peak_rss_bytes();
  if (options.json)
    print_json(train_json(result, *setup, options));
  else
    print_train(result, *setup, options);
  return {};
}

// A rank that fails ends all, which else would wait for it. What they find wrong together, the
// first one tells: the others give it a second.
void end_all(const Ranks& ranks, Status status) {
  if (!ranks.first()) std::this_thread::sleep_for(std::chrono::seconds(1));
  if (const auto fell = memory_limit_fell(); fell && status.code() == Code::kInterrupted)
    status = *fell;
  print_error(ranks.first() ? status : status.in(fmt::format("rank {}", ranks.rank())));
  ranks.end_all(static_cast<int>(status.code()));
}

}  // namespace

Status train_command(const TrainOptions& options) {
  ASSIGN_OR_RETURN(const auto ranks, Ranks::join());
  const Status done = train(options, *ranks);
  if (!done.ok() && ranks->size() > 1) end_all(*ranks, done);
  return done;
}

}  // namespace enxuto
