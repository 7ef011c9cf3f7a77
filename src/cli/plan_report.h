// What `plan` has to say, as text and as JSON.
#pragma once

#include <optional>

#include "cli/budget.h"
#include "cli/json_output.h"
#include "cli/measured_cache.h"
#include "plan/choices.h"
#include "plan/lesson.h"

namespace enxuto {

struct PlanReport {
  std::string goal;  // "run"
  SessionLayout layout;
  MemoryMap map;
  Budget budget;
  uint64_t streamed_bytes = 0;  // read from the file in every pass; 0: the weights fit
  uint64_t teacher_bytes = 0;   // of train: what the teacher takes before it; 0: there is none
  std::vector<Suggestion> suggestions;
  std::optional<ChoiceTable> choices;
  std::optional<MeasuredCache> measured;
  bool fits() const { return map.total_bytes() <= budget.bytes; }
};

Json plan_json(const PlanReport& report);
void print_plan(const PlanReport& report);
void print_lessons(const std::vector<Lesson>& lessons);

}  // namespace enxuto
