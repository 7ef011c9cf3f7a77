// What stays of a model.
//
// Heads stay or go with the key and value head that they share (a group); channels are columns of
// ffn_down with their rows of ffn_gate and ffn_up. Experts go with their row of the router. A layer
// that is not listed is gone as a whole.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "models/model.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

// How much of a layer stays, before it is known which parts.
struct LayerShape {
  uint32_t layer;        // of the source
  uint32_t kv_heads;     // 0: no attention
  uint32_t channels;     // at least 1
  uint32_t experts = 0;  // of a mixture
};

struct ModelShape {
  std::vector<LayerShape> layers;  // ascending
  std::vector<Token> tokens;       // ascending; empty: all
};

// Matrices that are written in another format than the source's.
using Formats = std::map<const Tensor*, Type>;

ModelShape whole_shape(const Model& model);
// Whether all layers are as wide as each other.
bool is_even(const ModelShape& shape);

// Which parts of a layer stay, ascending, and what matrices have become: as large as the source's,
// those that are not here are the source's own.
struct KeptLayer {
  uint32_t layer;
  std::vector<uint32_t> kv_heads, channels, experts;
  std::map<const Tensor*, std::span<const float>> values;
};

}  // namespace enxuto
