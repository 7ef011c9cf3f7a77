// compress: a model into a byte budget.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/curve_report.h"
#include "cli/json_output.h"
#include "cli/model_parts.h"
#include "cli/progress_bar.h"
#include "cli/terminal_text.h"
#include "cli/text_input.h"
#include "cli/usage_report.h"
#include "compress/compress.h"
#include "platform/file.h"
#include "platform/memory_probe.h"
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
  if (!options.curve)
    return Status::usage("the file to write is not named",
                         "name it with -o, or ask for --curve, which writes none");
  if (!has_size(options)) return {};
  return Status::usage("--curve alone writes no file, so it takes no size",
                       "leave the size out, or name a file with -o");
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

Status check_output(const Model& model, const std::string& path, bool force) {
  for (const auto& file : model.files)
    if (same_file(file->path(), path))
      return Status::usage("the output is the input itself", "choose another name");
  if (!force && file_exists(path))
    return Status::usage(fmt::format("{} exists already", path),
                         "choose another name, or say --force to replace it");
  return {};
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

std::map<std::string, Share> histogram(const CompressReport& report, const Model& model) {
  std::map<std::string, Share> shares;
  for (const TensorReport& t : report.tensors) {
    Share& share = shares[find_codec(t.to)->name];
    const Tensor* tensor = model.find(t.name);
    ++share.tensors;
    share.parameters += tensor ? tensor->count() : 0;
    share.bytes += t.bytes;
  }
  return shares;
}

// Of the file that was written.
Json file_json(const CompressReport& report, const Model& model, const CompressOptions& options) {
  Json formats = Json::array();
  for (const auto& [name, share] : histogram(report, model))
    formats.push_back({{"format", name},
                       {"tensors", share.tensors},
                       {"parameters", share.parameters},
                       {"bytes", share.bytes}});
  return {{"output", options.output},
          {"file_bytes", report.file_bytes},
          {"target_bytes", report.target_bytes},
          {"bits_per_weight", 8.0 * static_cast<double>(report.file_bytes) /
                                  static_cast<double>(compose(model).total.parameters)},
          {"predicted_kld", report.predicted_kld},
          {"formats", formats}};
}

Json tensors_json(const CompressReport& report) {
  Json tensors = Json::array();
  for (const TensorReport& t : report.tensors)
    tensors.push_back({{"name", t.name},
                       {"from", find_codec(t.from)->name},
                       {"to", find_codec(t.to)->name},
                       {"bytes", t.bytes},
                       {"relative_error", t.relative_error},
                       {"predicted_kld", t.predicted_kld}});
  return tensors;
}

Json report_json(const CompressReport& report, const Model& model, const CompressOptions& options) {
  Json json = Json::object();
  if (!options.output.empty()) json = file_json(report, model, options);
  json.update({{"smallest_bytes", report.smallest_bytes},
               {"input_bytes", model.file_bytes},
               {"imatrix_tensors", report.imatrix_tensors},
               {"seconds", report.seconds},
               {"planned_bytes", report.map.total_bytes()},
               {"peak_rss_bytes", peak_rss_bytes()}});
  if (!report.curve.points.empty()) json.update(curve_json(report.curve, model));
  return json;
}

void file_text(const CompressReport& report, const Model& model, const CompressOptions& options,
               const Paint& paint) {
  Table table({"format", ">tensors", ">bytes", ">share", ""});
  for (const auto& [name, share] : histogram(report, model)) {
    const double part = static_cast<double>(share.bytes) / static_cast<double>(report.file_bytes);
    table.add({name, format_count(share.tensors), format_bytes(share.bytes),
               fmt::format("{:.1f} %", 100 * part), paint.cyan(bar(part, 24))});
  }
  table.print(paint);
  fmt::print("\n{}  {} of {} bytes, {:.1f} % of the input's {}\n", paint.bold(options.output),
             format_count(report.file_bytes), format_count(report.target_bytes),
             100 * static_cast<double>(report.file_bytes) / static_cast<double>(model.file_bytes),
             format_count(model.file_bytes));
  if (report.imatrix_tensors)
    fmt::print("importance of {} tensors from {}\n", report.imatrix_tensors, options.imatrix_file);
  fmt::print("predicted KL divergence {:.4f} nats, ", report.predicted_kld);
}

void report_text(const CompressReport& report, const Model& model, const CompressOptions& options) {
  const Paint paint(Stream::kOutput);
  if (options.curve) {
    print_curve(report.curve, model, report.target_bytes, paint);
    fmt::print("\n");
  }
  if (!options.output.empty()) file_text(report, model, options, paint);
  fmt::print("{:.0f} s, peak {} of {} planned\n", report.seconds, format_bytes(peak_rss_bytes()),
             format_bytes(report.map.total_bytes()));
}

}  // namespace

Status compress_command(const CompressOptions& options) {
  TRY(check_task(options));
  CompressRequest request;
  ASSIGN_OR_RETURN(request.types, menu(options.types));
  ASSIGN_OR_RETURN(request.pins, pins(options.keep));
  if (!options.calibration_file.empty()) {
    ASSIGN_OR_RETURN(request.calibration_text, read_text(options.calibration_file));
    request.calibration_name = options.calibration_file;
  }
  ASSIGN_OR_RETURN(const auto usage, UsageReport::begin("compress", options));
  ASSIGN_OR_RETURN(const auto model, open_model(options.model));
  TRY(check_outputs(*model, options));
  if (!options.output.empty()) {
    ASSIGN_OR_RETURN(request.target_bytes, target_bytes(*model, options));
  }
  request.curve = options.curve;
  request.n_threads = options.threads();
  request.effort = options.effort;
  request.replace_output = options.force;
  request.imatrix_path = options.imatrix_file;
  request.save_imatrix_path = options.save_imatrix_file;
  request.memory_bytes = memory_budget(options).bytes;
  usage->watch(model);
  ProgressBar progress;
  auto report = compress(model, options.output, request, progress.callback());
  progress.erase();
  TRY(report.status());
  usage->plan(report->map, memory_budget(options));
  Json json = report_json(*report, *model, options);
  if (options.json)
    print_json(json);
  else
    report_text(*report, *model, options);
  if (!options.output.empty()) json["tensors"] = tensors_json(*report);
  return usage->finish(std::move(json));
}

}  // namespace enxuto
