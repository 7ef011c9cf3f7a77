#include "compress/hidden_states.h"

#include <algorithm>
#include <cstring>

namespace enxuto {

Result<HiddenStates> HiddenStates::create(const Workbench& bench, size_t count,
                                          uint64_t tokens_of_each) {
  HiddenStates states;
  states.state_bytes_ = *state_bytes(bench.model().hyper, tokens_of_each);  // planned, so sane
  const bool on_disk = bench.plan.states_on_disk;
  const uint64_t in_memory = states.state_bytes_ * (on_disk ? 1 : count);
  ASSIGN_OR_RETURN(states.memory_, bench.take<float>(in_memory / sizeof(float)));
  if (on_disk) {
    ASSIGN_OR_RETURN(states.file_, ScratchFile::create(bench.folder, states.state_bytes_ * count));
  }
  return states;
}

Result<float*> HiddenStates::load(size_t i, uint64_t floats) {
  if (!file_) return memory_.data() + i * (state_bytes_ / sizeof(float));
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
  float* target = memory_.data() + to * (state_bytes_ / sizeof(float));
  ASSIGN_OR_RETURN(const float* source, load(from));
  std::memcpy(target, source, state_bytes_);
  return target;
}

}  // namespace enxuto
