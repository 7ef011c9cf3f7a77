// The weights of a model as numbers that move: a model of the same shape whose tensors lie in
// memory, matrices in F32 or BF16, all else in F32.
#pragma once

#include <memory>

#include "memory/arena.h"
#include "models/model.h"
#include "plan/training.h"
#include "platform/threads.h"

namespace enxuto {

class Parameters {
 public:
  // Copies the source's weights, or, where it has no data, draws them: a normal distribution of
  // deviation 0.02, in matrices that end a branch less by the root of their number (GPT-2, Radford
  // et al., 2019); norms are one and biases zero.
  static Result<Parameters> create(const Model& source, Type matrices, uint64_t seed, Arena& arena,
                                   ThreadTeam& team);

  const std::shared_ptr<const Model>& model() const { return model_; }
  // The tensor's numbers, to be changed; of this model.
  uint8_t* data(const Tensor& tensor) const {
    return memory_.data() + (tensor.data.data() - memory_.data());
  }

 private:
  std::shared_ptr<const Model> model_;
  std::span<uint8_t> memory_;
};

}  // namespace enxuto
