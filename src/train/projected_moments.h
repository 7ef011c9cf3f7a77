// APOLLO-Mini (Zhu et al., "APOLLO: SGD-like memory, AdamW-level performance", 2025): AdamW's
// moments of a matrix are those of its gradient's projection to one number for each row, or, where
// columns are more, for each column. Rows that move together take the gradient itself as their
// step, as many times longer as AdamW would make the projection's; no step may grow by more than 1
// % over the one before. The projection is drawn from a seed anew every 200 steps, and never kept.
//
// In memory, f32: m (n) | v (n) | length of the last step of each group of rows; n = max(rows,
// columns). Ranks do not share it out: the gradient is summed over all of them, so each finds the
// same moments and the same length of the whole, and moves its own rows by it.
#pragma once

#include <span>
#include <vector>

#include "kernels/plain_steps.h"
#include "models/model.h"
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

// Rows of a tensor whose gradients are whole.
struct MovingRows {
  const Tensor* tensor;
  uint64_t first, n_rows;
  float* gradient;  // (n_rows, columns)
};

// Those of one tensor that move together.
struct Gathered {
  std::span<const MovingRows> rows;
  double squares;  // of their gradient
  uint64_t group;  // of the tensor's: 0 where all its rows always move together
};

class ProjectedMoments {
 public:
  // by_rows: not all rows of the tensor move together, so that the projection is to rows.
  ProjectedMoments(const Tensor& tensor, bool by_rows, uint32_t place, uint8_t* memory);

  // The moments take their step; the factor that makes the gradient a step of rate 1.
  float scale(ThreadTeam& team, const AdamRates& adam, const StepRates& rates,
              const Gathered& moving) const;

 private:
  std::vector<float> project(ThreadTeam& team, const Chance& chance,
                             std::span<const MovingRows> rows) const;
  ProjectedSquares step(const AdamRates& adam, const std::vector<float>& r,
                        std::span<const MovingRows> rows) const;
  const Tensor& tensor_;
  bool by_rows_;
  uint32_t place_;
  float *m_, *v_, *lengths_;
};

}  // namespace enxuto
