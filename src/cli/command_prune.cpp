// prune: a model with fewer heads, channels, experts, blocks or tokens, or with zeros.
#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/commands.h"
#include "cli/output_name.h"
#include "cli/progress_bar.h"
#include "cli/prune_report.h"
#include "cli/terminal_text.h"
#include "cli/text_input.h"
#include "cli/usage_report.h"
#include "prune/prune.h"

namespace enxuto {
namespace {

constexpr std::pair<std::string_view, PruneWhat> kWhat[] = {
    {"auto", PruneWhat::kAuto},       {"blocks", PruneWhat::kBlocks},
    {"heads", PruneWhat::kHeads},     {"channels", PruneWhat::kChannels},
    {"experts", PruneWhat::kExperts}, {"vocabulary", PruneWhat::kVocabulary},
    {"weights", PruneWhat::kWeights}};
constexpr std::pair<std::string_view, MaskMethod> kMethods[] = {
    {"sparsegpt", MaskMethod::kSparseGpt},
    {"wanda", MaskMethod::kWanda},
    {"magnitude", MaskMethod::kMagnitude},
    {"random", MaskMethod::kRandom}};

PruneWhat what_of(std::string_view name) {
  for (const auto& [known, what] : kWhat)
    if (known == name) return what;
  return PruneWhat::kAuto;
}

Status check_task(const PruneOptions& options) {
  const int targets = (options.remove > 0) + (options.size_bytes > 0) + (options.speedup > 0);
  if (targets == 1 || (targets == 0 && (options.what == "vocabulary" || !options.pattern.empty())))
    return {};
  return Status::usage(targets == 0 ? "how much has to go is not said"
                                    : "how much has to go is said in more than one way",
                       "give one of --remove, --size and --speedup");
}

// N:M, with M a power of two up to 64.
Result<MaskPattern> parse_pattern(const std::string& text) {
  const auto colon = text.find(':');
  uint32_t kept = 0, group = 0;
  const auto number = [](std::string_view digits, uint32_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (colon != std::string::npos && number(std::string_view(text).substr(0, colon), kept) &&
      number(std::string_view(text).substr(colon + 1), group) && kept > 0 && kept < group &&
      group <= 64 && std::has_single_bit(group))
    return MaskPattern{1 - static_cast<double>(kept) / group, kept, group};
  return Status::usage(fmt::format("'{}' is no pattern", text),
                       "say how many of how many stay: 2:4 or 4:8; of a power of two up to 64");
}

// Which single weights go.
Result<MaskRequest> masks_of(const PruneOptions& options) {
  if (options.what != "weights") {
    if (options.method.empty() && options.pattern.empty() && !options.sparse && !options.owl)
      return MaskRequest{};
    return Status::usage("--method, --pattern, --owl and --sparse are of single weights",
                         "say --what weights, or leave them out");
  }
  if (options.size_bytes || options.speedup > 0)
    return Status::usage("how many weights shall be zero is a share of them",
                         "say --remove, or --pattern");
  if (options.recover != "local")
    return Status::usage("whether other weights make up for those that go is the method's choice",
                         "say --method wanda, which changes none, and leave out --recover");
  MaskRequest masks{MaskMethod::kSparseGpt, {options.remove, 0, 0}, options.sparse, options.owl};
  for (const auto& [name, method] : kMethods)
    if (name == options.method) masks.method = method;
  if (options.pattern.empty()) return masks;
  if (options.owl)
    return Status::usage("of a pattern as many weights go in every layer: --owl has no choice",
                         "say --remove instead of --pattern");
  ASSIGN_OR_RETURN(masks.pattern, parse_pattern(options.pattern));
  if (options.remove > 0 && std::abs(options.remove - masks.pattern.share) > 1e-9)
    return Status::usage(fmt::format("--pattern {} removes {:g} of the weights, --remove says {:g}",
                                     options.pattern, masks.pattern.share, options.remove),
                         "leave one of them out");
  return masks;
}

}  // namespace

Status prune_command(const PruneOptions& options) {
  PruneRequest request;
  ASSIGN_OR_RETURN(request.masks, masks_of(options));
  TRY(check_task(options));
  request.what = what_of(options.what);
  request.remove = options.remove;
  request.size_bytes = options.size_bytes;
  request.speedup = options.speedup;
  request.uniform = options.uniform;
  request.recover = options.recover != "none";
  request.distill = options.recover == "distill";
  request.effort = options.effort;
  request.n_threads = options.threads();
  request.memory_bytes = memory_budget(options).bytes;
  request.replace_output = options.force;
  ASSIGN_OR_RETURN(const auto usage, UsageReport::begin("prune", options));
  ASSIGN_OR_RETURN(const auto model, open_model(options.model));
  TRY(check_output(*model, options.output, options.force));
  usage->watch(model);
  ProgressBar progress;
  ASSIGN_OR_RETURN(request.calibration_text,
                   calibration_text_for(*model, options.calibration_file, progress.callback()));
  request.announce = [&](const MemoryMap& map) {
    usage->plan(map, memory_budget(options));
    if (!options.json)
      print_note(fmt::format("{}: {} of memory, {} thread{}", format_bytes(model->file_bytes),
                             format_bytes(map.total_bytes()), request.n_threads,
                             request.n_threads == 1 ? "" : "s"));
  };
  const auto report = prune(model, options.output, request, progress.callback());
  progress.erase();
  TRY(report.status());
  if (options.json)
    print_json(prune_json(*report, *model, options));
  else
    print_prune(*report, *model, options);
  return {};
}

}  // namespace enxuto
