// The matrices that compress may write in another format, and the formats each may take.
#pragma once

#include <span>
#include <vector>

#include "models/model.h"

namespace enxuto {

struct Weight {
  const Tensor* tensor;
  // The layer it works in; n_layers: the head. A tied embedding is the head.
  uint32_t layer;
  // The tensor whose input is measured in its name too: q for k and v, gate for up
  // where there is one. Null for an
  // embedding that is not the head: it looks rows up, and has no input.
  const Tensor* input;
  bool embeds;
};

// In file order. Anything else (norms, biases, rope factors) stays as it is.
std::vector<Weight> find_weights(const Model& model);

bool is_float(Type type);

// What a tensor may become: its own type (kept bit by bit), a plainer float type, and the types of
// `allowed` (empty: all that we encode and others read) whose blocks divide its rows. Smallest
// first, none larger than the tensor is. Never empty: where nothing allowed fits its rows, its own
// type is the choice.
std::vector<Type> menu_for(const Tensor& tensor, std::span<const Type> allowed);

// One row as floats.
void decode_row(const Tensor& tensor, uint64_t row, float* values);

}  // namespace enxuto
