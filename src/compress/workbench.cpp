#include "compress/workbench.h"

namespace enxuto {

Result<HiddenStates> Workbench::take_states(size_t count, uint64_t tokens_of_each) const {
  const uint64_t bytes = *state_bytes(model().hyper, tokens_of_each);  // planned, so sane
  const bool on_disk = plan.states_on_disk;
  ASSIGN_OR_RETURN(const auto memory, take<float>(bytes / sizeof(float) * (on_disk ? 1 : count)));
  return HiddenStates::create(memory, count, bytes, on_disk ? folder : std::string());
}

}  // namespace enxuto
