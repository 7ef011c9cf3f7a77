// The memory that a command may take, and what to do where its plan takes more.
#pragma once

#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "plan/plan.h"

namespace enxuto {

struct Budget {
  uint64_t bytes;
  std::string source;  // "--memory", or what binds on this machine
};
Budget memory_budget(const CommonOptions& options);

// kDoesNotFit where running the model as requested takes more than the budget.
Status check_budget(const Model& model, const InferenceRequest& request,
                    const CommonOptions& options);

// kDoesNotFit where a plan takes more than the budget. what: "merging".
Status check_budget(const MemoryMap& map, const char* what, const CommonOptions& options,
                    const char* todo);

// The largest file of this model whose plan, otherwise `map` (of mapped weights), stays within the
// budget; 0: none does.
uint64_t largest_file_bytes(const Model& model, const MemoryMap& map, uint64_t budget_bytes);

// One change that alone makes a plan fit without streaming its weights.
struct Suggestion {
  std::string text;
  std::string option;  // "batch", "cache-type", "context", "size"
  Json value;          // of that option
};
std::vector<Suggestion> suggest(const Model& model, InferenceRequest request,
                                uint64_t budget_bytes);

}  // namespace enxuto
