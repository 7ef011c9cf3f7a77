// What an optimizer remembers of a matrix (or a vector: one row), and its steps.
//
//   adamw   m (rows, columns) f32 | v likewise
//   adamw8  scales of m, (rows, blocks) f32 | of v | codes of m (rows, columns) | of v
//   sgd     momentum (rows, columns) f32
//
// Where ranks share the rows out, each has those parts of its own rows only.
#pragma once

#include <span>
#include <vector>

#include "base/share.h"
#include "plan/training.h"
#include "platform/threads.h"

namespace enxuto {

// Of one step, for all weights.
struct StepRates {
  uint64_t step = 1;  // from 1 on
  float rate = 0;
  float weight_decay = 0;                              // of matrices
  float beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f;  // sgd: beta1 is its momentum
  uint64_t seed = 0;                                   // of what is rounded by chance
};

class OptimizerState {
 public:
  // memory: optimizer_bytes() of the rows, zero at the start. place: another one for each tensor.
  OptimizerState(Optimizer optimizer, const Tensor& tensor, Share rows, uint32_t place,
                 uint8_t* memory)
      : optimizer_(optimizer), tensor_(&tensor), rows_(rows), place_(place), memory_(memory) {}

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
