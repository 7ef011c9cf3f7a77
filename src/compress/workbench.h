// What the stages of compress share: the session that runs text, the memory that was planned for
// them, and the way to the weights' rows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "compress/state.h"
#include "compress/tensor_reader.h"
#include "infer/session.h"
#include "memory/arena.h"
#include "plan/compression_plan.h"
#include "train/hidden_states.h"

namespace enxuto {

struct Workbench {
  const CompressionPlan& plan;
  Session& session;
  Arena& arena;  // plan.stages
  TensorReader& reader;
  std::string folder;  // for a scratch file
  const Progress& progress;
  State* state = nullptr;  // what is known from before, and is kept for another time; null: nothing

  const Model& model() const { return session.model(); }
  // Between stages: the working memory is empty, and uncharged.
  void clear() const { arena.reset(owner::kWorking); }
  template <class T>
  Result<std::span<T>> take(uint64_t n) const {
    return arena.take<T>(owner::kWorking, n);
  }
  // Of so many tokens each, where the plan has them. Before anything else of the stage.
  Result<HiddenStates> take_states(size_t count, uint64_t tokens_of_each) const;
};

}  // namespace enxuto
