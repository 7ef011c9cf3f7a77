// How a training goes: its settings, from what was asked for and what was found.
#pragma once

#include <string>

#include "cli/train_setup.h"
#include "train/training_run.h"

namespace enxuto {

RunSettings run_settings(const TrainSetup& setup);
TrainerSettings trainer_settings(const TrainSetup& setup, const Ranks& ranks);
// Of the checkpoint, or of a run that begins.
RunState state_at_start(const TrainSetup& setup);

// Where --hours says how long: as many steps as the checkpoint began with; or those that there is
// time for, by a few that are made now and undone. The run is then the same as with --steps.
Status choose_steps(const Ranks& ranks, double seconds_spent, TrainSetup& setup);

// What --config has to be told to repeat this run: all that was chosen, too.
std::string config_of(const TrainSetup& setup, const RunSettings& settings);

}  // namespace enxuto
