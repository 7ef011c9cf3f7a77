// What an optimizer remembers of a matrix (or a vector: one row), and its steps.
//
//   adamw   m (rows, columns) f32 | v likewise
//   adamw8  scales of m, (rows, blocks) f32 | of v | codes of m (rows, columns) | of v
//   sgd     momentum (rows, columns) f32
//   apollo  as projected_moments.h has it; of vectors: adamw
//
// Where ranks share the rows out, each has those parts of its own rows only; of apollo's all ranks
// have the same.
#pragma once

#include <span>
#include <vector>

#include "base/share.h"
#include "plan/training.h"
#include "platform/threads.h"
#include "train/projected_moments.h"

namespace enxuto {

class OptimizerState {
 public:
  // optimizer: optimizer_of() the tensor; rows: remembered_rows(). memory: optimizer_bytes() of
  // them, zero at the start. place: another one for each tensor.
  OptimizerState(Optimizer optimizer, const Tensor& tensor, Share rows, uint32_t place,
                 uint8_t* memory)
      : optimizer_(optimizer), tensor_(&tensor), rows_(rows), place_(place), memory_(memory) {}

  // Before the steps of rows that move together: what step() is to multiply their gradient with,
  // which is gradient_scale if not apollo's. As ProjectedMoments::scale.
  float scale(ThreadTeam& team, const StepRates& rates, float gradient_scale, const Gathered& rows,
              bool by_rows) const;

  // Its rows among [first, first + n_rows) of the weights move against the gradient, (n_rows,
  // columns) times gradient_scale. weights: row `first`, in the tensor's type.
  void step(ThreadTeam& team, const StepRates& rates, float gradient_scale, uint64_t first,
            uint64_t n_rows, const float* gradient, uint8_t* weights) const;

  uint64_t bytes() const;
  uint64_t bytes_of_all_rows() const;
  // A part of those above: rows of `row_bytes`, its own rows' first.
  struct Part {
    uint8_t* rows;
    uint64_t row_bytes;
  };
  std::vector<Part> parts() const;
  // apollo: no parts, but the same of all rows on each rank.
  bool is_of_all_rows() const { return optimizer_ == Optimizer::kApollo; }
  ByteView memory() const { return {memory_, bytes()}; }
  // Takes its rows' from what is remembered of all of them.
  void restore(std::span<const uint8_t> of_all_rows) const;

 private:
  struct Block;
  struct Step;
  void step_row(const Step& step, uint64_t row, const float* gradient, uint8_t* weights) const;
  void step_block(const Step& step, const Block& block, const float* gradient,
                  float* weights) const;
  void step_adam8(const Step& step, const Block& block, const float* gradient,
                  float* weights) const;

  Optimizer optimizer_;
  const Tensor* tensor_;
  Share rows_;
  uint32_t place_;
  uint8_t* memory_;
};

}  // namespace enxuto
