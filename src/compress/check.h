// Damaged models are refused before the work, not after it.
#pragma once

#include "compress/column_scales.h"
#include "compress/workbench.h"

namespace enxuto {

// Reads every weight once, and shows it to the scales. kBadInput names the tensor that holds a NaN
// or an infinity.
Status check_weights(const Workbench& bench, ColumnScales& scales);

}  // namespace enxuto
