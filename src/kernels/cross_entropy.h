// Cross entropy of one token over a vocabulary that comes in slices, so that no row of logits is
// ever whole: all slices go through add(), then all through gradient().
#pragma once

#include <cstdint>
#include <span>

#include "kernels/exponential_sum.h"

namespace enxuto {

// The label is drawn from the model's own distribution: the squared gradients of such labels are
// the diagonal of Fisher's information.
class SampledCrossEntropy {
 public:
  // `first`: the token of logits[0]. uniform: a random number of [0, 1), another for each slice.
  void add(std::span<const float> logits, int64_t first, double uniform);
  int64_t label() const { return label_; }
  // The logits of a slice become the gradient of the loss by them: p, and p - 1 at the label.
  void gradient(std::span<float> logits, int64_t first) const;

 private:
  ExponentialSum sum_;
  int64_t label_ = 0;
};

}  // namespace enxuto
