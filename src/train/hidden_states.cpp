#include "train/hidden_states.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"

namespace enxuto {

Result<HiddenStates> HiddenStates::create(std::span<float> memory, size_t count,
                                          uint64_t state_bytes, const std::string& folder) {
  HiddenStates states;
  states.state_bytes_ = state_bytes;
  states.memory_ = memory;
  if (!folder.empty()) {
    ASSIGN_OR_RETURN(states.file_, ScratchFile::create(folder, state_bytes * count));
  }
  return states;
}

float* HiddenStates::room(size_t i) {
  return memory_.data() + (file_ ? 0 : i * (state_bytes_ / sizeof(float)));
}

Result<float*> HiddenStates::load(size_t i, uint64_t floats) {
  if (!file_) return room(i);
  const uint64_t bytes = floats > state_bytes_ / sizeof(float)
                             ? state_bytes_
                             : align_up(floats * sizeof(float), ScratchFile::kAlignment);
  TRY(file_->read(i * state_bytes_, reinterpret_cast<uint8_t*>(memory_.data()), bytes));
  return memory_.data();
}

Status HiddenStates::store(size_t i) {
  if (!file_) return {};
  return file_->write(i * state_bytes_, reinterpret_cast<const uint8_t*>(memory_.data()),
                      state_bytes_);
}

Result<float*> HiddenStates::copy(size_t from, size_t to) {
  if (file_) return load(from);
  float* target = room(to);
  ASSIGN_OR_RETURN(const float* source, load(from));
  std::memcpy(target, source, state_bytes_);
  return target;
}

}  // namespace enxuto
