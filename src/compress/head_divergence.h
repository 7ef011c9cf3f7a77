// KL divergence of disturbed models from the undisturbed one, over a vocabulary that comes in
// slices: no row of logits is ever whole.
//
// With p the undisturbed model's probabilities, z its logits and z' the disturbed model's:
//   KL = sum p (z - z') - log sum e^z + log sum e^z'
// All sums are kept relative to the largest logit so far.
#pragma once

#include <span>

#include "kernels/exponential_sum.h"

namespace enxuto {

// One scored row of the undisturbed model.
class ReferenceRow {
 public:
  // weights: e^(z - top) of this slice, for the disturbed rows.
  void add(std::span<const float> logits, std::span<float> weights);
  double rescale() const { return rescale_; }
  const ExponentialSum& sum() const { return sum_; }

 private:
  ExponentialSum sum_;
  double rescale_ = 1;  // of the last add
};

// The same row of a disturbed model.
class DisturbedRow {
 public:
  // After the reference's add of the same slice.
  void add(const ReferenceRow& reference, std::span<const float> reference_logits,
           std::span<const float> weights, std::span<const float> logits);
  double kld(const ReferenceRow& reference) const;

 private:
  ExponentialSum sum_;
  double difference_ = 0;  // sum of e^(z - reference's top) (z - z')
};

}  // namespace enxuto
