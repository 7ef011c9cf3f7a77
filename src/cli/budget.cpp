#include "cli/budget.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "platform/memory_probe.h"

namespace enxuto {

Budget memory_budget(const CommonOptions& options) {
  if (options.memory_bytes) return {options.memory_bytes, "--memory"};
  const MemoryLimit limit = probe_memory();
  return {limit.bytes - memory_margin(limit.bytes), limit.source + ", less a margin"};
}

Status check_budget(const Model& model, const InferenceRequest& request,
                    const CommonOptions& options) {
  const Budget budget = memory_budget(options);
  const Status status = check_fits(model, request, budget.bytes);
  if (status.code() != Code::kDoesNotFit) return status;
  return Status::does_not_fit(fmt::format("{} ({})", status.what(), budget.source), status.todo());
}

Status check_budget(const MemoryMap& map, const char* what, const CommonOptions& options,
                    const char* todo) {
  const Budget budget = memory_budget(options);
  if (map.total_bytes() <= budget.bytes) return {};
  return Status::does_not_fit(
      fmt::format("{} needs {}, more than the {} allowed ({})", what,
                  format_bytes(map.total_bytes()), format_bytes(budget.bytes), budget.source),
      todo);
}

uint64_t largest_file_bytes(const Model& model, const MemoryMap& map, uint64_t budget_bytes) {
  // What is neither the file's weights nor its header, which the plan counts as vocabulary. How
  // much of the new file is an embedding that is not mapped is not known yet: all of it may be in
  // memory.
  const Result<uint64_t> mapped = mapped_file_bytes(model);
  if (!mapped.ok() || *mapped > map.total_bytes()) return 0;
  const uint64_t others = map.total_bytes() - *mapped;
  return others < budget_bytes ? budget_bytes - others : 0;
}

std::vector<Suggestion> suggest(const Model& model, InferenceRequest request,
                                uint64_t budget_bytes) {
  std::vector<Suggestion> found;
  request.memory_bytes = 0;
  const Result<MemoryMap> map = plan_inference(model, request);
  if (!map.ok() || map->total_bytes() <= budget_bytes) return found;
  InferenceRequest small = request;
  small.batch = std::min(request.batch, kShortPass);
  if (fits(model, small, budget_bytes))
    found.push_back({fmt::format("--batch {}: the prompt in shorter passes", small.batch), "batch",
                     small.batch});
  InferenceRequest rounded = request;
  rounded.kv = {kSmallCache};
  if (fits(model, rounded, budget_bytes))
    found.push_back(
        {fmt::format("{}: a KV cache that is a little less precise", cache_options(rounded.kv)),
         "cache-type", cache_name(rounded.kv)});
  if (const uint32_t context = largest_context(model, request, budget_bytes);
      context >= kUsefulContext)
    found.push_back({fmt::format("--context {}: hold fewer tokens", context), "context", context});
  if (const uint64_t size = largest_file_bytes(model, *map, budget_bytes))
    found.push_back(
        {fmt::format("enxuto compress MODEL -o OUT --size {}: fewer bytes of weights", size),
         "size", size});
  return found;
}

}  // namespace enxuto
