// The teacher of a training: it runs before the student is in memory, unless what it says is in
// OUTPUT.training already.
#pragma once

#include <optional>

#include "cli/train_setup.h"
#include "train/training_run.h"

namespace enxuto {

struct TeacherSetup {
  std::optional<Teacher> teacher;
  uint64_t planned_bytes = 0;  // of its run, where there was one
};

// Nothing where the setup has no teacher. The setup lets go of its model.
Result<TeacherSetup> set_up_teacher(TrainSetup& setup, const RunSettings& settings,
                                    const Ranks& ranks, const Progress& progress);

}  // namespace enxuto
