// What to change where a plan does not fit: the shortest list, and what it saves.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "plan/cache_formats.h"
#include "plan/plan.h"

namespace enxuto {
namespace {

Result<uint64_t> total(const Model& model, const InferenceRequest& request) {
  ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(model, request));
  return map.total_bytes();
}

// A change of the request that makes it smaller, as it is asked for.
struct Change {
  bool short_pass, small_cache;
  double context;  // the least share of it that is left to be proposed; 1: all
};
// In the order of what they cost: first what costs speed only, then a little precision; a list of
// two before a context of less than three quarters.
constexpr Change kChanges[] = {{true, false, 1}, {false, true, 1},  {false, false, 0.75},
                               {true, true, 1},  {false, false, 0}, {true, false, 0},
                               {false, true, 0}, {true, true, 0}};

// The request so changed, or nothing where that does not fit, or changes nothing.
std::optional<InferenceRequest> changed(const Model& model, const SessionLayout& layout,
                                        InferenceRequest request, const Change& change,
                                        uint64_t budget_bytes) {
  const uint32_t context = layout.context;
  request.context = context;
  if (change.short_pass && layout.batch <= kShortPass) return {};
  if (change.short_pass) request.batch = std::min(layout.batch, kShortPass);
  if (change.small_cache) request.kv = {kSmallCache};
  const Result<SessionLayout> then = lay_out_session(model, request);
  if (!then.ok() || (change.small_cache && then->kv_bytes >= layout.kv_bytes)) return {};
  if (change.context < 1) {
    request.context = largest_context(model, request, budget_bytes);
    if (request.context < std::min(kUsefulContext, context)) return {};
    if (request.context < change.context * context) return {};
  }
  if (!fits(model, request, budget_bytes)) return {};
  return request;
}

// "--context 2,048 instead of 8,192, with --batch 16 saves 141 MiB".
std::string saving(const Change& change, const SessionLayout& layout, const InferenceRequest& then,
                   uint64_t saved_bytes) {
  const auto number = [](const char* what, uint32_t value, uint32_t before) {
    return fmt::format("{} {} instead of {}", what, format_count(value), format_count(before));
  };
  std::vector<std::string> list;
  if (then.context < layout.context)
    list.push_back(number("--context", then.context, layout.context));
  if (change.short_pass) list.push_back(number("--batch", then.batch, layout.batch));
  if (change.small_cache) list.push_back(cache_options(then.kv));
  return fmt::format("{} saves {}", fmt::join(list, ", with "), format_bytes(saved_bytes));
}

}  // namespace

bool fits(const Model& model, const InferenceRequest& request, uint64_t budget_bytes) {
  const Result<uint64_t> bytes = total(model, request);
  return bytes.ok() && *bytes <= budget_bytes;
}

uint32_t largest_context(const Model& model, InferenceRequest request, uint64_t budget_bytes) {
  const Result<SessionLayout> layout = lay_out_session(model, request);
  uint32_t fitting = 0, beyond = layout.ok() ? layout->context : request.context;
  if (layout.ok() && fits(model, request, budget_bytes)) return beyond;
  while (fitting + 1 < beyond) {  // invariant: fitting fits (or is 0), beyond does not
    request.context = fitting + (beyond - fitting) / 2;
    (fits(model, request, budget_bytes) ? fitting : beyond) = request.context;
  }
  return fitting;
}

Status check_fits(const Model& model, const InferenceRequest& request, uint64_t budget_bytes) {
  ASSIGN_OR_RETURN(const uint64_t needed, total(model, request));
  if (needed <= budget_bytes) return Status();
  ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(model, request));
  const std::string what =
      fmt::format("needs {}, {} more than the {} allowed", format_bytes(needed),
                  format_bytes(needed - budget_bytes), format_bytes(budget_bytes));
  for (const Change& change : kChanges)
    if (const auto then = changed(model, layout, request, change, budget_bytes)) {
      ASSIGN_OR_RETURN(const uint64_t bytes, total(model, *then));
      return Status::does_not_fit(what, saving(change, layout, *then, needed - bytes));
    }
  InferenceRequest smaller = request;
  smaller.batch = std::min(layout.batch, kShortPass);
  smaller.context = std::min(kUsefulContext, layout.context);
  ASSIGN_OR_RETURN(const uint64_t least, total(model, smaller));
  return Status::does_not_fit(
      what,
      fmt::format(
          "this model takes {} even with {} tokens of context: compress it, or allow more memory",
          format_bytes(least), smaller.context));
}

}  // namespace enxuto
