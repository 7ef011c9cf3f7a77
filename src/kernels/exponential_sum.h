// The sum of e^z over logits that come in slices, kept relative to the largest so far.
#pragma once

#include <span>

namespace enxuto {

struct ExponentialSum {
  double top = -1e30, sum = 0;  // sum of e^(z - top)

  // Returns by what earlier terms were multiplied.
  double add(std::span<const float> logits);
  double log() const;
};

}  // namespace enxuto
