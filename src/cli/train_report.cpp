#include "cli/train_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "cli/remaining_time.h"
#include "data/text_files.h"
#include "platform/terminal.h"

namespace enxuto {
namespace {

Json metrics_json(const StepReport& report, const std::string& sample) {
  const double rate =
      report.seconds > 0 ? static_cast<double>(report.result.tokens) / report.seconds : 0.0;
  Json json = {{"step", report.step},
               {"loss", report.result.loss},
               {"lr", report.rate},
               {"gradient_norm", report.result.gradient_norm},
               {"tokens", report.result.tokens},
               {"tokens_per_second", rate},
               {"seconds", report.seconds}};
  if (report.result.kld) json["kld"] = *report.result.kld;
  if (report.validation_loss) json["validation_loss"] = *report.validation_loss;
  if (!sample.empty()) json["sample"] = sample;
  if (report.validation_kld) json["validation_kld"] = *report.validation_kld;
  return json;
}

std::string kld_text(const std::optional<double>& kld) {
  return kld ? fmt::format(", {:.3f} from the teacher", *kld) : "";
}

// Bytes of the lines of steps up to `steps`, which come in order.
Result<uint64_t> kept_bytes(const std::string& path, uint64_t steps) {
  constexpr uint64_t kMostLine = 1 << 16;
  if (steps == 0 || !file_exists(path)) return uint64_t{0};
  ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  TextLines lines(std::move(file), kMostLine);
  for (uint64_t kept = 0;;) {
    ASSIGN_OR_RETURN(const TextLines::Line line, lines.next());
    const Json json = Json::parse(line.text, nullptr, /*allow_exceptions=*/false);
    if (line.end || !json.is_object() || json.value("step", UINT64_MAX) > steps) return kept;
    kept += line.text.size() + 1;
  }
}

}  // namespace

Result<MetricsFile> MetricsFile::open(const std::string& path, uint64_t steps_done) {
  ASSIGN_OR_RETURN(const uint64_t kept, kept_bytes(path, steps_done));
  ASSIGN_OR_RETURN(LogFile file, LogFile::open(path, kept));
  return MetricsFile(std::move(file));
}

Status MetricsFile::add(const StepReport& report, const std::string& sample) {
  const Json json = metrics_json(report, sample);
  return file_.append(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

TrainProgress::TrainProgress(uint64_t steps, bool quiet)
    : paint_(Stream::kError),
      steps_(steps),
      quiet_(quiet),
      terminal_(is_terminal(Stream::kError)) {}

TrainProgress::~TrainProgress() { erase(); }

void TrainProgress::erase() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
  std::fflush(stderr);
}

void TrainProgress::show(const StepReport& report) {
  constexpr double kNew = 0.1;  // what a step counts in the means
  const bool first = seconds_per_step_ == 0;
  seconds_per_step_ += (first ? 1 : kNew) * (report.seconds - seconds_per_step_);
  mean_loss_ += (first ? 1 : kNew) * (report.result.loss - mean_loss_);
  if (report.validation_loss)
    validation_ = fmt::format("  validation {:.3f}{}", *report.validation_loss,
                              kld_text(report.validation_kld));
  if (quiet_) return;
  if (terminal_) {
    fmt::print(stderr, "\r\033[K{}", line(report));
    drawn_ = true;
    std::fflush(stderr);
  } else if (report.validation_loss || report.step == 1 || report.step == steps_ || report.saved) {
    fmt::print(stderr, "{}\n", line(report));
  }
}

std::string TrainProgress::line(const StepReport& report) const {
  const double left = seconds_per_step_ * static_cast<double>(steps_ - report.step);
  return fmt::format(
      "step {}/{}  loss {:.3f}{}  {:.0f} tokens/s  {}{}", report.step, steps_, mean_loss_,
      validation_, static_cast<double>(report.result.tokens) / seconds_per_step_,
      report.step < steps_ ? rough_time(left) + " left" : "done", report.saved ? ", saved" : "");
}

void TrainProgress::say(const std::string& text) {
  if (quiet_) return;
  erase();
  fmt::print(stderr, "{}\n", printable(text, "\n"));
}

Json train_json(const TrainResult& r, const TrainSetup& setup) {
  const DataCounts& counts = setup.counts;
  const auto json_of = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json();
  };
  const auto or_null = [](bool known, Json value) { return known ? value : Json(); };
  return {{"output", setup.options.output},
          {"architecture", setup.model->hyper.architecture},
          {"parameters", r.parameters},
          {"steps", r.state.step},
          {"ended_early", r.ended_early},
          {"written_step", r.written_step},
          {"loss", or_null(r.last.step > 0, r.last.result.loss)},
          {"kld", json_of(r.last.result.kld)},
          {"validation_kld", json_of(r.validation_kld)},
          {"validation_loss", json_of(r.validation_loss)},
          {"best_validation_loss", or_null(r.state.best_step > 0, r.state.best_loss)},
          {"best_step", or_null(r.state.best_step > 0, r.state.best_step)},
          {"tokens_per_second", or_null(r.last.step > 0, r.tokens_per_second)},
          {"seconds", r.seconds},
          {"context", setup.request.context},
          {"batch_size", setup.request.sequences},
          {"proposal",
           or_null(setup.proposal.has_value(),
                   setup.proposal ? proposal_json(*setup.proposal, setup.options.hours) : Json())},
          {"planned_bytes", r.planned_bytes},
          {"peak_rss_bytes", r.peak_rss_bytes},
          {"data",
           {{"documents", counts.documents},
            {"empty", counts.empty},
            {"corrupt", counts.corrupt},
            {"bytes", counts.bytes},
            {"tokens", counts.tokens},
            {"learned_tokens", counts.learned_tokens}}}};
}

void print_train(const TrainResult& r, const TrainSetup& setup) {
  fmt::print("{}: {} parameters, {} steps{} in {}\n", setup.options.output,
             format_count(r.parameters), format_count(r.state.step),
             r.ended_early ? " (no better any more)" : "", rough_time(r.seconds));
  if (r.last.step > 0)
    fmt::print("loss {:.3f}", r.last.result.loss);
  else
    fmt::print("no step was left to do");
  if (r.validation_loss)
    fmt::print(
        ", on texts it did not learn from {:.3f} (perplexity {:.1f}){}; best {:.3f} after step "
        "{}{}",
        *r.validation_loss, std::exp(*r.validation_loss), kld_text(r.validation_kld),
        r.state.best_loss, format_count(r.state.best_step),
        r.written_step == r.state.step ? "" : ", whose weights are kept");
  fmt::print("\n");
  if (r.last.step > 0) fmt::print("{:.0f} tokens/s, ", r.tokens_per_second);
  fmt::print("planned {}, at the peak {}\n", format_bytes(r.planned_bytes),
             format_bytes(r.peak_rss_bytes));
}

}  // namespace enxuto
