// Damaged models are refused before the work, not after it.
#pragma once

#include "compress/workbench.h"

namespace enxuto {

// Reads every weight once. kBadInput names the tensor that holds a NaN or an infinity.
Status check_weights(const Workbench& bench);

}  // namespace enxuto
