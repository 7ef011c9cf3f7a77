#include "cli/compress_report.h"

#include <algorithm>
#include <map>
#include <ranges>

#include "base/bytes.h"
#include "cli/curve_report.h"
#include "cli/model_parts.h"
#include "cli/terminal_text.h"
#include "platform/memory_probe.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {
namespace {

std::map<std::string, ModelPart> histogram(const CompressReport& report, const Model& model) {
  std::map<std::string, ModelPart> shares;
  for (const TensorReport& t : report.tensors) {
    ModelPart& share = shares[find_codec(t.to)->name];
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
          {"bits_per_weight", bits_per_weight(report.file_bytes, compose(model).total.parameters)},
          {"predicted_kld", report.predicted_kld},
          {"formats", formats}};
}

// What the folder of --state has, and had.
Json state_json(const CompressReport& report, const CompressOptions& options) {
  Json stages = Json::array();
  for (const TakenOver& stage : report.taken_over)
    stages.push_back({{"stage", stage.stage}, {"layers", stage.layers}, {"of", stage.of}});
  return {{"folder", options.state_folder}, {"bytes", report.state_bytes}, {"taken_over", stages}};
}

Json choice_json(const PruningChoice& choice) {
  Json weighed = Json::array();
  for (const WeighedShare& one : choice.weighed)
    weighed.push_back({{"share", one.share}, {"predicted_kld", one.predicted_kld}});
  return {{"weighed", weighed},
          {"tried_share", choice.tried_share},
          {"share", choice.share},
          {"kld_pruned", choice.kld_pruned},
          {"kld_unpruned", choice.kld_unpruned},
          {"judged_tokens", choice.judged_tokens}};
}

Json speed_json(const SpeedReport& speed) {
  return {{"seconds_per_token", speed.seconds},
          {"seconds_per_token_without", speed.seconds_without},
          {"predicted_kld_without", speed.predicted_kld_without}};
}

// null: it belongs to no layer.
Json layer_of(std::string_view name, const Model& model) {
  for (uint32_t l = 0; l < model.hyper.n_layers; ++l)
    if (name.starts_with(fmt::format("blk.{}.", l))) return l;
  return {};
}

Json tensors_json(const CompressReport& report, const Model& model) {
  Json tensors = Json::array();
  for (const TensorReport& t : report.tensors) {
    const Tensor* tensor = model.find(t.name);
    Json shape = Json::array();
    for (uint32_t d = 0; d < tensor->n_dims; ++d) shape.push_back(tensor->shape[d]);
    tensors.push_back(
        {{"name", t.name},
         {"kind", tensor_kind(t.name)},
         {"layer", layer_of(t.name, model)},
         {"shape", shape},
         {"parameters", tensor->count()},
         {"from", find_codec(t.from)->name},
         {"to", find_codec(t.to)->name},
         {"bytes", t.bytes},
         {"bits_per_weight", bits_per_weight(t.bytes, tensor->count())},
         {"relative_error", t.relative_error},
         {"predicted_kld", t.predicted_kld},
         {"kld_share", report.predicted_kld > 0 ? t.predicted_kld / report.predicted_kld : 0}});
  }
  return tensors;
}

// The file's bytes, and the memory that running it takes where all of it fits.
Result<Json> size_json(const Model& model, const CommonOptions& options) {
  InferenceRequest request = inference_request(options, 0);
  request.memory_bytes = 0;
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(model.metadata));
  request.tokenizer_bytes = tokenizer->table_bytes();
  ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(model, request));
  ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(model, request));
  Json parts = Json::array();
  for (const MemoryPart& part : map.parts)
    parts.push_back({{"owner", part.owner}, {"bytes", part.bytes}});
  return Json{
      {"file_bytes", model.file_bytes},
      {"bits_per_weight", bits_per_weight(model.file_bytes, compose(model).total.parameters)},
      {"run_bytes", map.total_bytes()},
      {"context", layout.context},
      {"parts", parts}};
}

// By their bits per weight, most first; of matrices only.
std::vector<ModelPart> kinds_of(const CompressReport& report, const Model& model) {
  std::map<std::string, ModelPart> by_name;
  for (const TensorReport& t : report.tensors) {
    const Tensor& tensor = *model.find(t.name);
    if (tensor.n_dims < 2) continue;
    ModelPart& kind = by_name[std::string(tensor_kind(t.name))];
    kind.parameters += tensor.count();
    kind.bytes += t.bytes;
  }
  std::vector<ModelPart> kinds;
  for (auto& [name, kind] : by_name) {
    kind.name = name;
    kinds.push_back(kind);
  }
  std::ranges::stable_sort(kinds, std::greater(), &ModelPart::bits_per_weight);
  return kinds;
}

// Which kinds of tensor got the most bits and the least.
void print_kinds(const std::vector<ModelPart>& kinds, const Paint& paint) {
  const size_t shown = std::min<size_t>(3, kinds.size() / 2);
  if (shown == 0) return;
  const auto named = [](const auto& range) {
    std::string text;
    for (const ModelPart& kind : range)
      text += fmt::format("{}{} {:.2f}", text.empty() ? "" : ", ", printable(kind.name),
                          kind.bits_per_weight());
    return text;
  };
  fmt::print("\n{}  {}\n{}  {}\n", paint.bold("most bits "), named(kinds | std::views::take(shown)),
             paint.bold("least bits"),
             named(kinds | std::views::reverse | std::views::take(shown)));
}

// The tensors from which most of the predicted loss comes.
void print_lossiest(const CompressReport& report, const Paint& paint) {
  if (report.predicted_kld <= 0) return;
  std::vector<TensorReport> tensors = report.tensors;
  std::ranges::stable_sort(tensors, std::greater(), &TensorReport::predicted_kld);
  Table table({"most loss", "format", ">share", ""});
  for (const TensorReport& t : tensors | std::views::take(5)) {
    const double share = t.predicted_kld / report.predicted_kld;
    if (share <= 0) break;
    table.add({printable(t.name), find_codec(t.to)->name, fmt::format("{:.1f} %", 100 * share),
               paint.cyan(bar(share, 24))});
  }
  fmt::print("\n");
  table.print(paint);
}

void print_file(const CompressReport& report, const Model& model, const CompressOptions& options,
                const Paint& paint) {
  Table table({"format", ">tensors", ">bytes", ">share", ""});
  for (const auto& [name, share] : histogram(report, model)) {
    const double part = static_cast<double>(share.bytes) / static_cast<double>(report.file_bytes);
    table.add({name, format_count(share.tensors), format_bytes(share.bytes),
               fmt::format("{:.1f} %", 100 * part), paint.cyan(bar(part, 24))});
  }
  table.print(paint);
  print_kinds(kinds_of(report, model), paint);
  print_lossiest(report, paint);
  fmt::print("\n{}  {} of {} bytes, {:.1f} % of the input's {}\n", paint.bold(options.output),
             format_count(report.file_bytes), format_count(report.target_bytes),
             100 * static_cast<double>(report.file_bytes) / static_cast<double>(report.input_bytes),
             format_count(report.input_bytes));
  if (report.imatrix_tensors)
    fmt::print("importance of {} tensors from {}\n", report.imatrix_tensors, options.imatrix_file);
  fmt::print("predicted KL divergence {:.4f} nats, ", report.predicted_kld);
}

void print_speed(const SpeedReport& speed) {
  fmt::print(
      "weights of a token in {:.2f} ms by their formats' speed here; without --for-speed {:.2f} "
      "ms, and a predicted KL divergence of {:.4f} nats\n",
      1e3 * speed.seconds, 1e3 * speed.seconds_without, speed.predicted_kld_without);
}

// Shares that were weighed, and what came of it.
void print_choice(const PruningChoice& choice) {
  std::string weighed;
  for (const WeighedShare& one : choice.weighed)
    weighed += fmt::format("{}{:.0f} %: {:.4f}", weighed.empty() ? "" : ", ", 100 * one.share,
                           one.predicted_kld);
  fmt::print("predicted where so much of the layers goes: {}\n", weighed);
  if (choice.tried_share == 0) {
    fmt::print("nothing was pruned: it would not help\n");
    return;
  }
  const double tried = 100 * choice.tried_share;
  if (choice.kld_unpruned > 0)
    fmt::print(
        "measured on {} tokens held out: {:.4f} nats with {:.0f} % pruned, {:.4f} without: {}\n",
        format_count(choice.judged_tokens), choice.kld_pruned, tried, choice.kld_unpruned,
        choice.share > 0 ? "it was pruned" : "nothing was pruned");
  else if (choice.share == 0)
    fmt::print("nothing was pruned: with {:.0f} % less it cannot be so small\n", tried);
  else
    fmt::print(
        "{:.0f} % pruned, {:.4f} nats on {} tokens held out: without, it cannot be so small\n",
        tried, choice.kld_pruned, format_count(choice.judged_tokens));
}

void print_state(const CompressReport& report, const CompressOptions& options) {
  std::string taken;
  for (const TakenOver& stage : report.taken_over)
    taken += fmt::format("{}{} {} of {} layers", taken.empty() ? ", taken over: " : ", ",
                         stage.stage, stage.layers, stage.of);
  fmt::print("{} holds {}{}\n", options.state_folder, format_bytes(report.state_bytes), taken);
}

}  // namespace

std::string_view tensor_kind(std::string_view name) {
  if (name.starts_with("blk.")) {
    const size_t dot = name.find('.', 4);
    if (dot != std::string_view::npos) name.remove_prefix(dot + 1);
  }
  if (name.ends_with(".weight")) name.remove_suffix(7);
  return name;
}

Json compress_json(const CompressOutcome& outcome, const CompressOptions& options,
                   double predicted_seconds) {
  const auto& [report, source, model, choice] = outcome;
  Json json = Json::object();
  if (!options.output.empty()) json = file_json(report, model, options);
  json.update({{"smallest_bytes", report.smallest_bytes},
               {"input_bytes", report.input_bytes},
               {"imatrix_tensors", report.imatrix_tensors},
               {"cautions", report.cautions},
               {"seconds", report.seconds},
               {"predicted_seconds", predicted_seconds},
               {"planned_bytes", report.map.total_bytes()},
               {"peak_rss_bytes", peak_rss_bytes()}});
  if (!options.state_folder.empty()) json["state"] = state_json(report, options);
  if (options.for_speed) json["for_speed"] = speed_json(report.speed);
  if (!report.curve.points.empty())
    json.update(curve_json(report.curve, source, report.file_bytes));
  if (choice) json["prune"] = choice_json(*choice);
  return json;
}

Result<Json> compress_report_json(const CompressOutcome& outcome, const CompressOptions& options,
                                  double predicted_seconds) {
  Json json = compress_json(outcome, options, predicted_seconds);
  ASSIGN_OR_RETURN(json["before"], size_json(outcome.source, options));
  if (options.output.empty()) return json;
  ASSIGN_OR_RETURN(const auto written, open_model(options.output));
  ASSIGN_OR_RETURN(json["after"], size_json(*written, options));
  json["tensors"] = tensors_json(outcome.report, outcome.model);
  return json;
}

void print_compress(const CompressOutcome& outcome, const CompressOptions& options) {
  const auto& [report, source, model, choice] = outcome;
  const Paint paint(Stream::kOutput);
  if (options.curve) {
    print_curve(report.curve, source, report.file_bytes, paint);
    fmt::print("\n");
  }
  if (!options.output.empty()) print_file(report, model, options, paint);
  fmt::print("{:.0f} s, peak {} of {} planned\n", report.seconds, format_bytes(peak_rss_bytes()),
             format_bytes(report.map.total_bytes()));
  if (choice) print_choice(*choice);
  if (options.for_speed) print_speed(report.speed);
  if (!options.state_folder.empty()) print_state(report, options);
}

}  // namespace enxuto
