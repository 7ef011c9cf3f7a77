// The loss of one token against what a teacher says of it, over a vocabulary that comes in slices:
// KL(teacher || student) over the teacher's most probable tokens and, as one more, all others
// together. Leaving those out, or giving their probability to the others, teaches the student that
// nothing is unlikely (Anshumann et al., "Sparse Logit Sampling", ACL 2025).
#pragma once

#include <cstdint>
#include <span>

#include "kernels/exponential_sum.h"

namespace enxuto {

struct Taught {
  std::span<const int32_t> tokens;  // ascending
  std::span<const float> log_p;     // of each, and of all others together
};

// All slices go through add(), then all through mixed_gradient().
struct TaughtLoss {
  ExponentialSum others;       // of the student's logits that the teacher does not name
  double cross = 0, mass = 0;  // of those that it does: sum p (log p - logit), sum p

  // `first`: the token of logits[0]. The logits are void afterwards.
  void add(const Taught& taught, int64_t first, std::span<float> logits);
  // Nats; sum: of all the student's logits.
  double loss(const Taught& taught, const ExponentialSum& sum) const;
};

// The slice's logits become the gradient of weight × TaughtLoss + (1 - weight) × cross entropy of
// the label. sum: of all logits.
void mixed_gradient(const TaughtLoss& loss, const Taught& taught, float weight,
                    const ExponentialSum& sum, int64_t label, int64_t first,
                    std::span<float> logits);

}  // namespace enxuto
