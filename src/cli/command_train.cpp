// train: a new model, or one further.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "cli/text_input.h"
#include "cli/train_course.h"
#include "cli/train_history.h"
#include "cli/train_page.h"
#include "cli/train_report.h"
#include "cli/train_setup.h"
#include "cli/train_teacher.h"
#include "cli/usage_report.h"
#include "infer/sampler.h"
#include "platform/clock.h"
#include "platform/limit_watch.h"
#include "platform/memory_probe.h"

namespace enxuto {
namespace {

constexpr const char* kConfig = "config.toml";

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

void tell_plan(const TrainSetup& setup, const RunSettings& settings, const TrainingLayout& layout,
               const MemoryMap& map) {
  const TrainOptions& o = setup.options;
  if (setup.proposal)
    for (const std::string& line : proposal_lines(*setup.proposal, o.hours)) print_note(line);
  tell_data(setup);
  const HyperParameters& h = setup.model->hyper;
  print_note(fmt::format(
      "{} parameters ({} layers of {}), {} steps of {} x {} tokens, {}{} of memory, {} thread{}",
      format_count(layout.n_parameters), h.n_layers, h.width, format_count(settings.steps),
      layout.sequences, layout.context, of_each_rank(setup), format_bytes(map.total_bytes()),
      o.threads(), o.threads() == 1 ? "" : "s"));
  if (layout.gathered)
    print_note(fmt::format("each rank keeps a part of the weights, and gathers a layer's for it{}",
                           o.sample.empty() ? "" : "; so there are no samples"));
  if (map.find(owner::kWeightRing))
    print_note("the model does not fit: its weights are read from the file twice in each step");
  const double epochs = static_cast<double>(settings.steps * layout.sequences) /
                        static_cast<double>(setup.data->n_training());
  if (o.hours > 0 && epochs > kUsefulEpochs)
    print_note(fmt::format("the data is read {:.3g} times: more than {:.0f} teach hardly anything",
                           epochs, kUsefulEpochs));
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

// The run, telling of each step.
class Run {
 public:
  Run(const TrainSetup& setup, const RunSettings& settings, Trainer& trainer, MetricsFile metrics)
      : setup_(setup),
        settings_(settings),
        trainer_(trainer),
        metrics_(std::move(metrics)),
        progress_(settings.steps, setup.options.json) {}

  Status run(TrainResult& result) {
    const RunState state = state_at_start(setup_);
    const uint64_t begin = state.step;
    TrainingRun run(trainer_, *setup_.data, setup_.folder, settings_, state);
    const Status done = run.run([&](const StepReport& report) { see(report, result); });
    result.state = run.state();
    result.ended_early = run.ended_early();
    result.written_step = run.written_step();
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
    if (report.validation_loss) {
      result.validation_loss = *report.validation_loss;
      result.validation_kld = report.validation_kld;
    }
    if (seconds_.size() < kMostSeconds) seconds_.push_back(report.seconds);
    progress_.show(report);
    const std::string text = report.validation_loss ? sample() : "";
    note(metrics_.add(report, text));
    if (!text.empty()) progress_.say("    " + text);
  }

  std::string sample() {
    const std::string& prompt = setup_.options.sample;
    if (prompt.empty() || trainer_.shares_parameters()) return "";  // no rank has all weights
    auto text = sample_text(trainer_, *setup_.tokenizer, prompt);
    note(text.status());
    return text.ok() ? std::move(*text) : "";
  }

  // What only tells of the run does not end it: the first failure is told, once.
  void note(const Status& status) {
    if (status.ok() || !told_.ok()) return;
    told_ = status;
    progress_.say("enxuto: " + status.what());
  }

  static constexpr size_t kMostSeconds = 10000;
  const TrainSetup& setup_;
  RunSettings settings_;
  Trainer& trainer_;
  MetricsFile metrics_;
  TrainProgress progress_;
  std::vector<double> seconds_;
  Status told_;
};

std::string metrics_path(const TrainSetup& setup) {
  const std::string& asked = setup.options.metrics_file;
  return asked.empty() ? setup.folder.path("metrics.jsonl") : asked;
}

// The first rank's run, which tells and writes for all.
Status lead(const TrainSetup& setup, const RunSettings& settings, Trainer& trainer,
            TrainResult& result) {
  const TrainOptions& options = setup.options;
  if (!options.json) tell_plan(setup, settings, trainer.layout(), trainer.memory_map());
  if (!setup.checkpoint || !setup.folder.has(kConfig))
    TRY(write_text_file(setup.folder.path(kConfig), config_of(setup, settings), /*replace=*/true));
  ASSIGN_OR_RETURN(MetricsFile metrics, MetricsFile::open(metrics_path(setup), trainer.steps()));
  TRY(Run(setup, settings, trainer, std::move(metrics)).run(result));
  return options.learning.lora
             ? write_adapter(*trainer.adapter(), *setup.model, options.output, true)
             : write_model(trainer, options.output, true);
}

Status follow(const TrainSetup& setup, const RunSettings& settings, Trainer& trainer) {
  TrainingRun run(trainer, *setup.data, setup.folder, settings, state_at_start(setup));
  TRY(run.run([](const StepReport&) {}));
  return setup.options.learning.lora ? Status() : write_model(trainer, setup.options.output, true);
}

Status train(const TrainOptions& options, const Ranks& ranks) {
  const auto begin = std::chrono::steady_clock::now();
  TrainOptions reporting = options;
  if (!ranks.first()) reporting.report_file.clear();
  ASSIGN_OR_RETURN(const auto usage, UsageReport::begin("train", reporting));
  ProgressBar progress;
  auto setup = set_up_training(
      options, ranks, ranks.first() ? progress.callback() : [](std::string_view, double) {});
  progress.erase();
  TRY(setup.status());
  TRY(choose_steps(ranks, seconds_since(begin), *setup));
  RunSettings settings = run_settings(*setup);
  const auto taught = set_up_teacher(
      *setup, settings, ranks,
      ranks.first() ? progress.callback() : [](std::string_view, double) {});
  progress.erase();
  TRY(taught.status());
  if (taught->teacher) settings.teacher = &*taught->teacher;
  ASSIGN_OR_RETURN(const auto trainer,
                   Trainer::open(setup->model, trainer_settings(*setup, ranks)));
  if (setup->checkpoint) TRY(setup->checkpoint->restore(*trainer));
  usage->plan(trainer->memory_map(), memory_budget(options));
  usage->watch(setup->model);
  if (!ranks.first()) return follow(*setup, settings, *trainer);
  TrainResult result;
  TRY(lead(*setup, settings, *trainer, result));
  result.parameters = trainer->layout().n_parameters;
  result.seconds = seconds_since(begin);
  result.planned_bytes = std::max(trainer->memory_map().total_bytes(), taught->planned_bytes);
  result.peak_rss_bytes = peak_rss_bytes();
  Json json = train_json(result, *setup);
  if (options.json)
    print_json(json);
  else
    print_train(result, *setup);
  if (options.report_file.empty()) return {};
  ASSIGN_OR_RETURN(json["config"], read_text(setup->folder.path(kConfig)));
  ASSIGN_OR_RETURN(const TrainHistory history, read_train_history(metrics_path(*setup)));
  json.update(history_json(history));
  return usage->finish(std::move(json), train_page);
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
