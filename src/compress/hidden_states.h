// Hidden states of several texts between two layers, each as many floats: all in memory, or where
// the plan says so in a file, with one of them in memory.
#pragma once

#include <optional>

#include "compress/workbench.h"
#include "platform/scratch_file.h"

namespace enxuto {

class HiddenStates {
 public:
  // Takes its memory from the workbench: before anything else of the stage.
  static Result<HiddenStates> create(const Workbench& bench, size_t count, uint64_t tokens_of_each);

  // The first `floats` of one state, to be read or changed; valid until the next call.
  Result<float*> load(size_t i, uint64_t floats = UINT64_MAX);
  // Keeps what load gave of `i`, changed.
  Status store(size_t i);
  // State `to`, as `from` is now. Not stored yet.
  Result<float*> copy(size_t from, size_t to);

 private:
  uint64_t state_bytes_ = 0;
  std::span<float> memory_;
  std::optional<ScratchFile> file_;
};

}  // namespace enxuto
