// Where the memory of a generative model goes, taught with one model's own figures.
#pragma once

#include <string>
#include <vector>

#include "plan/plan.h"

namespace enxuto {

struct Lesson {
  std::string title;  // "KV cache: 45.0 MiB"
  std::string text;   // plain sentences, not broken into lines
};
Result<std::vector<Lesson>> teach_memory(const Model& model, const InferenceRequest& request);

}  // namespace enxuto
