// What prune did, for people and as JSON.
#pragma once

#include "cli/commands.h"
#include "cli/json_output.h"
#include "prune/prune.h"

namespace enxuto {

Json prune_json(const PruneReport& report, const Model& model, const PruneOptions& options);
void print_prune(const PruneReport& report, const Model& model, const PruneOptions& options);

}  // namespace enxuto
