// An average of the weights over the steps, that forgets exponentially (Polyak & Juditsky, 1992;
// torch's get_ema_multi_avg_fn): the first step's weights, then of each step
//   average = decay average + (1 - decay) weights
// in f32 whatever the weights are, so that small changes are not lost. Where ranks share rows out,
// each has the average of its own rows.
#pragma once

#include <span>
#include <vector>

#include "base/share.h"
#include "models/model.h"
#include "platform/threads.h"

namespace enxuto {

class AveragedWeights {
 public:
  // Rows of a tensor that is averaged: their numbers in the tensor's type, to be changed, and
  // their average, zero at the start.
  struct Rows {
    const Tensor* tensor;
    Share rows;
    uint8_t* weights;
    float* average;
    uint64_t count() const { return rows.size() * tensor->columns(); }
  };

  explicit AveragedWeights(float decay = 0) : decay_(decay) {}
  void add(const Rows& rows) { all_.push_back(rows); }
  const std::vector<Rows>& all() const { return all_; }

  // After a step; step: from 1 on.
  void update(ThreadTeam& team, uint64_t step) const;
  // Weights and average change places; once more, and all is as it was, bit for bit. As weights in
  // bf16 the average is rounded; what that takes off stays beside the weights.
  void exchange(ThreadTeam& team);
  bool exchanged() const { return exchanged_; }

 private:
  float decay_;
  std::vector<Rows> all_;
  bool exchanged_ = false;
};

}  // namespace enxuto
