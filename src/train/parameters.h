// The weights of a model as numbers that move: a model of the same shape whose tensors lie in
// memory, matrices in F32 or BF16, all else in F32.
//
// Where ranks share them out, each has its own rows of the matrices (is_shared_out). The model's
// matrices of all layers then lie in one and the same place, where those of the layer at hand are
// gathered; so do the vocabulary's, of which there is room for a block only.
#pragma once

#include <memory>

#include "memory/arena.h"
#include "models/model.h"
#include "plan/training.h"
#include "platform/ranks.h"
#include "platform/threads.h"

namespace enxuto {

class Parameters {
 public:
  // Copies the source's weights, or, where it has no data, draws them: a normal distribution of
  // deviation 0.02, in matrices that end a branch less by the root of their number (GPT-2, Radford
  // et al., 2019); norms are one and biases zero.
  static Result<Parameters> create(const Model& source, const TrainingRequest& request,
                                   uint64_t seed, const Ranks& ranks, Arena& arena,
                                   ThreadTeam& team);

  const std::shared_ptr<const Model>& model() const { return model_; }
  // The tensor's rows that lie here, and their numbers, to be changed; of this model.
  struct Rows {
    Share rows;
    uint8_t* data;
  };
  const Rows& rows(const Tensor& tensor) const { return rows_[model_->index_of(tensor)]; }
  bool shared_out(const Tensor& tensor) const { return rows(tensor).data != tensor.data.data(); }
  // Some rows of one that is shared out, from all ranks, to where its data is, or begins with the
  // first of them. All ranks have to call it.
  Status gather(const Tensor& tensor, const Share& rows) const;

 private:
  void place(const Model& source, std::span<uint8_t> memory, std::vector<Tensor>& tensors);

  std::shared_ptr<const Model> model_;
  const Ranks* ranks_ = nullptr;
  std::vector<Rows> rows_;  // by the place of a tensor in the model
  std::span<uint8_t> gathered_;
};

}  // namespace enxuto
