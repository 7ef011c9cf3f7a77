// A new model for the hours one has (--hours): this machine's speed into the plan's proposal.
#pragma once

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/json_output.h"
#include "plan/training_proposal.h"

namespace enxuto {

// What `train --hours` and `plan --for train --hours` are told.
struct NewModelWish {
  double hours = 0;
  ModelShapeRequest kind;         // its architecture
  std::vector<std::string> data;  // texts; none: as many as one likes
  double validation = 0;          // share of them that is not learned from
  uint64_t parameters = 0, memory_bytes = 0;
  uint32_t vocabulary = 0;  // these: 0 is to be chosen
  TrainingRequest request;  // its context and sequences likewise
};

// Measures steps of models as wide as those that come into question, for some seconds.
Result<TrainingProposal> propose_here(const NewModelWish& wish, const Progress& progress);

Json proposal_json(const TrainingProposal& proposal, double hours);
// Lines of text.
std::vector<std::string> proposal_lines(const TrainingProposal& proposal, double hours);

}  // namespace enxuto
