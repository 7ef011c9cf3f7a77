// How many heads and channels each layer keeps, for a number of bytes of all layers. Pure
// arithmetic but for what parts weigh in a file.
#pragma once

#include "prune/kept.h"
#include "prune/part_costs.h"

namespace enxuto {

struct ChosenShape {
  ModelShape shape;
  double kld = 0;  // predicted: the sum over the parts
};

// Each layer as wide as suits it, by what its parts cost. kDoesNotFit names the least that there
// is.
Result<ChosenShape> choose_shape(const Model& model, const std::vector<PartCosts>& costs,
                                 uint64_t layer_bytes);

// All layers as wide as each other, in the parts that may go.
Result<ChosenShape> choose_uniform_shape(const Model& model, std::span<const Part> parts,
                                         uint64_t layer_bytes);

// Of all layers' attention and FFN in a file.
uint64_t layer_bytes(const Model& model, const ModelShape& shape);

}  // namespace enxuto
