// A plan as one page of HTML that needs nothing else: chart, tables and lessons.
#pragma once

#include <optional>
#include <string>

#include "plan/choices.h"
#include "plan/lesson.h"

namespace enxuto {

struct PlanPage {
  std::string title;  // the model's name
  std::string goal;   // "run"
  MemoryMap map;
  uint64_t budget_bytes = 0;
  std::string budget_source;
  std::optional<ChoiceTable> choices;
  std::vector<Lesson> lessons;
};
std::string html_page(const PlanPage& page);

}  // namespace enxuto
