// Cross entropy of one token over a vocabulary that comes in slices, so that no row of logits is
// ever whole: all slices go through add(), then all through gradient().
#pragma once

#include <cstdint>
#include <span>

#include "kernels/exponential_sum.h"

namespace enxuto {

// All slices' sum is known: the logits of a slice, `first` the token of the first of them, become
// the gradient of the loss of `label` by them: scale p, and scale (p - 1) at the label.
void cross_entropy_gradient(const ExponentialSum& sum, int64_t label, int64_t first,
                            std::span<float> logits, float scale = 1);

// The label is drawn from the model's own distribution: the squared gradients of such labels are
// the diagonal of Fisher's information.
class SampledCrossEntropy {
 public:
  // `first`: the token of logits[0]. uniform: a random number of [0, 1), another for each slice.
  void add(std::span<const float> logits, int64_t first, double uniform);
  int64_t label() const { return label_; }
  void gradient(std::span<float> logits, int64_t first) const {
    cross_entropy_gradient(sum_, label_, first, logits);
  }

 private:
  ExponentialSum sum_;
  int64_t label_ = 0;
};

}  // namespace enxuto
