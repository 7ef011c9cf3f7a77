// A low-rank adapter while it learns: all matrices of all layers have one, in F32.
#pragma once

#include "memory/arena.h"
#include "models/adapter.h"
#include "plan/training.h"

namespace enxuto {

class LearnedAdapter {
 public:
  // a is drawn as PEFT draws it (Kaiming, uniform, a = sqrt(5)): evenly from
  // [-1, 1] / sqrt(columns); b is zero, so that at first nothing is added.
  static Result<LearnedAdapter> create(const Model& model, uint32_t rank, uint64_t seed,
                                       Arena& arena);

  const std::shared_ptr<const Adapter>& adapter() const { return adapter_; }
  // The tensor's numbers, to be changed; of this adapter.
  uint8_t* data(const Tensor& tensor) const {
    return memory_.data() + (tensor.data.data() - memory_.data());
  }

 private:
  std::shared_ptr<const Adapter> adapter_;
  std::span<uint8_t> memory_;
};

}  // namespace enxuto
