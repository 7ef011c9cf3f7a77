// What the columns of each linear input carry.
#pragma once

#include <map>
#include <span>

#include "formats/gguf.h"

namespace enxuto {

// Mean squares of the columns, by the tensor whose input it is (Weight::input). Lies in the arena.
using Importance = std::map<const Tensor*, std::span<const float>>;

}  // namespace enxuto
