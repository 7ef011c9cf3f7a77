// Which experts of a mixture a token meets, and by how much: those of the largest probabilities.
#pragma once

#include "models/model.h"

namespace enxuto {

// A token's probabilities of each of hyper.n_experts become its shares of them, 0 of those that it
// does not meet. What is no number stays none.
void choose_experts(const HyperParameters& hyper, float* probabilities);

// The gradient by the logits behind those probabilities, in the place of that by the shares of the
// experts that a token meets.
void choose_experts_gradient(const HyperParameters& hyper, const float* probabilities,
                             const float* shares, float* gradient);

}  // namespace enxuto
