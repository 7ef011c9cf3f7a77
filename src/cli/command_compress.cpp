// compress: a model into a byte budget.
#include <fmt/format.h>

#include <filesystem>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/compress_page.h"
#include "cli/compress_report.h"
#include "cli/model_parts.h"
#include "cli/output_name.h"
#include "cli/progress_bar.h"
#include "cli/terminal_text.h"
#include "cli/text_input.h"
#include "cli/usage_report.h"
#include "compress/compress.h"
#include "prune/prune_and_compress.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {
namespace {

bool has_size(const CompressOptions& options) {
  return options.size_bytes || options.bits_per_weight > 0;
}

// Whether it is said what to write, and how small; or that nothing is to be written.
Status check_task(const CompressOptions& options) {
  if (!options.output.empty()) {
    if (has_size(options) || options.memory_bytes) return {};
    return Status::usage("how small the file has to be is not said",
                         "give --size, --bpw or --memory");
  }
  if (options.for_speed)
    return Status::usage("--for-speed is about a file, and none is named", "name it with -o");
  if (!options.curve)
    return Status::usage("the file to write is not named",
                         "name it with -o, or ask for --curve, which writes none");
  if (!has_size(options)) return {};
  return Status::usage("--curve alone writes no file, so it takes no size",
                       "leave the size out, or name a file with -o");
}

// Pruning is weighed for a file, by what the text says, and by loss alone.
Status check_pruning(const CompressOptions& options) {
  if (options.prune != "auto") return {};
  if (options.output.empty())
    return Status::usage("--prune auto is about a file, and none is named", "name it with -o");
  if (options.for_speed)
    return Status::usage("--prune auto weighs loss against bytes alone, not against speed",
                         "leave out --for-speed or --prune");
  if (!options.imatrix_file.empty() || !options.save_imatrix_file.empty())
    return Status::usage("an importance matrix is of the model as it is, not of a pruned one",
                         "leave out the matrix or --prune");
  return {};
}

// The same as compress() where pruning is not asked for, or cannot be.
Result<ChosenCompression> compress_as_told(const std::shared_ptr<const Model>& model,
                                           const CompressOptions& options, bool prunes,
                                           const CompressRequest& request,
                                           const Progress& progress) {
  if (prunes) return prune_and_compress(model, options.output, request, progress);
  ASSIGN_OR_RETURN(CompressReport report, compress(model, options.output, request, progress));
  return ChosenCompression{std::move(report), model, {}};
}

// --size as it is, --bpw of the whole file, or the largest file that runs in --memory.
Result<uint64_t> target_bytes(const Model& model, const CompressOptions& options) {
  if (options.size_bytes) return options.size_bytes;
  if (options.bits_per_weight > 0) {
    const auto parameters = static_cast<double>(compose(model).total.parameters);
    return static_cast<uint64_t>(parameters * options.bits_per_weight / 8);
  }
  InferenceRequest request = inference_request(options, 0);
  request.memory_bytes = 0;  // the file is to fit without streaming
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(model.metadata));
  request.tokenizer_bytes = tokenizer->table_bytes();
  ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(model, request));
  const uint64_t bytes = largest_file_bytes(model, map, options.memory_bytes);
  if (bytes) return bytes;
  return Status::does_not_fit(
      fmt::format("running this model takes more than {} (--memory) even without its weights",
                  format_bytes(options.memory_bytes)),
      "give more memory, or say the size of the file with --size");
}

Result<Type> format(std::string_view name) {
  const Codec* codec = find_codec(name);
  if (!codec)
    return Status::usage(fmt::format("'{}' is no number format", name),
                         "write them as Q4_K, Q8_0, IQ4_NL");
  if (!codec->encode)
    return Status::usage(fmt::format("{} can be read but not written", codec->name),
                         "choose another format");
  return codec->type;
}

Result<std::vector<Type>> menu(const std::vector<std::string>& names) {
  std::vector<Type> types;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const Type type, format(name));
    types.push_back(type);
  }
  return types;
}

Result<std::vector<Pin>> pins(const std::vector<std::string>& kept) {
  std::vector<Pin> pins;
  for (const std::string& one : kept) {
    const size_t at = one.rfind('=');
    if (at == 0 || at == std::string::npos)
      return Status::usage(fmt::format("'{}' names no weights and their format", one),
                           "write --keep output=Q8_0");
    ASSIGN_OR_RETURN(const Type type, format(std::string_view(one).substr(at + 1)));
    pins.push_back({one.substr(0, at), type});
  }
  return pins;
}

Status check_outputs(const Model& model, const CompressOptions& options) {
  TRY(check_output(model, options.output, options.force));
  const std::string& saved = options.save_imatrix_file;
  if (saved.empty()) return {};
  std::error_code none;
  if (std::filesystem::weakly_canonical(saved, none) ==
      std::filesystem::weakly_canonical(options.output, none))
    return Status::usage("the model and its importance matrix have the same name",
                         "choose another name with --save-imatrix");
  return check_output(model, saved, options.force);
}

bool weighs_pruning(const Model& model, const CompressOptions& options) {
  if (options.prune != "auto") return false;
  const Status can = can_prune_and_compress(model);
  if (!can.ok()) print_note(fmt::format("pruning is not weighed: {}", can.what()));
  return can.ok();
}

// What is about to be done, and what it takes.
std::string announcement(const Model& model, const CompressOptions& options,
                         const CompressRequest& request, const MemoryMap& map, double seconds) {
  const std::string what = options.output.empty()
                               ? "measures what smaller files lose"
                               : fmt::format("{} become at most {}", format_bytes(model.file_bytes),
                                             format_bytes(request.target_bytes));
  return fmt::format("{}: {}, {} of memory, {} thread{}", what, rough_time(seconds),
                     format_bytes(map.total_bytes()), request.n_threads,
                     request.n_threads == 1 ? "" : "s");
}

}  // namespace

Status compress_command(const CompressOptions& options) {
  TRY(check_task(options));
  TRY(check_pruning(options));
  CompressRequest request;
  ASSIGN_OR_RETURN(request.types, menu(options.types));
  ASSIGN_OR_RETURN(request.pins, pins(options.keep));
  ASSIGN_OR_RETURN(const auto usage, UsageReport::begin("compress", options));
  ASSIGN_OR_RETURN(const auto model, open_model(options.model));
  TRY(check_outputs(*model, options));
  ProgressBar progress;
  ASSIGN_OR_RETURN(request.calibration_text,
                   calibration_text_for(*model, options.calibration_file, progress.callback()));
  request.calibration_name = options.calibration_file;
  if (!options.output.empty()) {
    ASSIGN_OR_RETURN(request.target_bytes, target_bytes(*model, options));
  }
  request.curve = options.curve || !options.report_file.empty();
  request.n_threads = options.threads();
  request.effort = options.effort;
  request.for_speed = options.for_speed;
  request.replace_output = options.force;
  request.imatrix_path = options.imatrix_file;
  request.save_imatrix_path = options.save_imatrix_file;
  request.memory_bytes = memory_budget(options).bytes;
  request.state_folder = options.state_folder;
  usage->watch(model);
  request.notice = [&](const std::string& line) {
    progress.erase();
    print_note(line);
  };
  double predicted_seconds = 0;
  request.announce = [&](const MemoryMap& map, const std::vector<StageTime>& stages) {
    for (const StageTime& stage : stages) predicted_seconds += stage.seconds;
    if (!options.json) print_note(announcement(*model, options, request, map, predicted_seconds));
    progress.expect(stages);
  };
  const bool prunes = weighs_pruning(*model, options);
  auto chosen = compress_as_told(model, options, prunes, request, progress.callback());
  progress.erase();
  if (chosen.status().code() == Code::kInterrupted && !options.state_folder.empty())
    print_note("interrupted: the same command goes on where it was");
  TRY(chosen.status());
  usage->plan(chosen->report.map, memory_budget(options));
  const CompressOutcome outcome{chosen->report, *model, *chosen->model,
                                prunes ? &chosen->choice : nullptr};
  if (options.json)
    print_json(compress_json(outcome, options, predicted_seconds));
  else
    print_compress(outcome, options);
  if (options.report_file.empty()) return {};
  ASSIGN_OR_RETURN(Json json, compress_report_json(outcome, options, predicted_seconds));
  return usage->finish(std::move(json), compress_page);
}

}  // namespace enxuto
