// Hidden states of several texts between two layers, or gradients by them, each as many floats: all
// in memory, or in a file with one of them in memory.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "platform/scratch_file.h"

namespace enxuto {

class HiddenStates {
 public:
  // Of `count` states of state_bytes each, a multiple of ScratchFile's alignment. `folder` empty:
  // memory holds all of them; else they lie in a file there, and memory holds one. It begins where
  // a page does.
  static Result<HiddenStates> create(std::span<float> memory, size_t count, uint64_t state_bytes,
                                     const std::string& folder);

  // The first `floats` of one state, to be read or changed; valid until the next call.
  Result<float*> load(size_t i, uint64_t floats = UINT64_MAX);
  // Room for a state that is written anew; as load otherwise.
  float* room(size_t i);
  // Keeps what load or room gave of `i`, changed.
  Status store(size_t i);
  // State `to`, as `from` is now. Not stored yet.
  Result<float*> copy(size_t from, size_t to);

 private:
  uint64_t state_bytes_ = 0;
  std::span<float> memory_;
  std::optional<ScratchFile> file_;
};

}  // namespace enxuto
