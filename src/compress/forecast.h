// How long compress will take, told before it starts: the work of each stage by its sizes, and how
// fast this machine does a little of it now, others' work on it included.
//
// An estimate: formats that will be written are not known yet, and disks are not looked at.
#pragma once

#include <vector>

#include "base/progress.h"
#include "compress/weights.h"
#include "plan/compression_plan.h"
#include "platform/threads.h"

namespace enxuto {

class Dense;
class State;

// Seconds of work of one core of the machine on which the stages were measured, done per second.
double machine_speed(const Dense& dense, ThreadTeam& team);

// The stages in their order. menus: of each weight. writes: a file, not a curve alone. What `state`
// has (null: nothing) takes no time.
std::vector<StageTime> forecast(const Model& model, const CompressionPlan& plan,
                                const std::vector<Weight>& weights,
                                const std::vector<std::vector<Type>>& menus, bool writes,
                                const State* state, double speed);

}  // namespace enxuto
