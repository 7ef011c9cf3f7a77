// A matrix's values as floats, wherever its rows lie.
#pragma once

#include <span>

#include "compress/workbench.h"

namespace enxuto {

// values: (rows, columns). kBadInput where they hold a NaN or an infinity.
Status read_values(const Workbench& bench, const Tensor& matrix, std::span<float> values);

}  // namespace enxuto
