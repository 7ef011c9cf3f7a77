// What a model is made of: its parts and number formats, counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/model.h"

namespace enxuto {

inline double bits_per_weight(uint64_t bytes, uint64_t parameters) {
  return parameters ? 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters) : 0;
}

struct ModelPart {
  std::string name;  // of a part, or of a format
  uint64_t tensors = 0, parameters = 0, bytes = 0;
  double bits_per_weight() const { return enxuto::bits_per_weight(bytes, parameters); }
};

struct Composition {
  std::vector<ModelPart> parts;    // embedding, attention, feed-forward, norms, head, other
  std::vector<ModelPart> formats;  // most bytes first
  ModelPart total;
};

Composition compose(const Model& model);

}  // namespace enxuto
