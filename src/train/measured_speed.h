// How fast this machine trains: real steps of a small trainer.
#pragma once

#include "plan/training_proposal.h"

namespace enxuto {

// Floating point operations a second, as training_operations() counts them, of a model of the
// proposal's width, vocabulary, context and numbers, of a few layers. It takes no more memory than
// the proposal's plan, and a few seconds. Of this process, whatever ranks the request says.
Result<double> measure_training(const TrainingProposal& proposal);

}  // namespace enxuto
