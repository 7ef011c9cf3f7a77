// Calibration: what the inputs of the linear layers have in common on a text, and how much each
// column of them carries. All chunks go through a layer before the next one is read.
#pragma once

#include <vector>

#include "compress/calibration_text.h"
#include "compress/column_scales.h"
#include "compress/covariance_file.h"
#include "compress/importance.h"
#include "compress/workbench.h"

namespace enxuto {

// The session's batch may be shorter than a chunk.
// The scales are settled, and the covariances are those of the inputs under them. Where importance
// was brought it takes the place of the text's, in the covariances too. A state folder's layers are
// taken over.
Result<Importance> calibrate(const Workbench& bench, const std::vector<std::vector<Token>>& chunks,
                             ColumnScales& scales, CovarianceFile& covariances,
                             Importance brought = {});

}  // namespace enxuto
