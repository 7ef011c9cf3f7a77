// Where the time of a pass goes, operator by operator, beside what this machine could do at most.
#pragma once

#include "cli/json_output.h"
#include "infer/session.h"

namespace enxuto {

// Passes of one kind, all together.
struct TimedPasses {
  OperatorTimes operators = {};
  double seconds = 0;
  uint64_t tokens = 0;
};

struct MachineLimits {
  double read_rate = 0;     // bytes a second of the model's weights; 0 where they are streamed
  double product_rate = 0;  // 8-bit multiply-adds a second
};

MachineLimits measure_limits(Session& session);

Json operators_json(const TimedPasses& passes);
void print_operators(const TimedPasses& decode, const TimedPasses& prefill,
                     const MachineLimits& limits);

}  // namespace enxuto
