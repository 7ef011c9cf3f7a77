// Writes the model in its new formats, tensor by tensor, a few rows in memory at a time.
#pragma once

#include <functional>
#include <vector>

#include "compress/calibrate.h"
#include "compress/column_scales.h"
#include "compress/measure.h"
#include "compress/workbench.h"
#include "formats/gguf.h"
#include "models/model.h"

namespace enxuto {

struct Emission {
  const Tensor* tensor;
  Type type;
  uint32_t layer;           // that it belongs to; emissions come in this order
  const float* importance;  // (columns), or null
  // The covariance to round under, asked for when the tensor's turn comes; null: none.
  std::function<Result<const Covariance*>()> covariance;
  // That of its outputs, likewise.
  std::function<Result<const Covariance*>()> outputs;
};

// What the file says of itself: the model's metadata with the keys of quantization set anew.
Metadata metadata_for(const Model& model, const std::vector<Emission>& emissions);

// In the order given; the working memory may hold covariances already. Layers that a state folder
// has in these formats are taken over. Commits `out` when all is written.
Status emit(const Workbench& bench, const Metadata& metadata,
            const std::vector<Emission>& emissions, const ColumnScales& scales, OutputFile& out);

}  // namespace enxuto
