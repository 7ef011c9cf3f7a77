// Internal: hyper-parameters out of GGUF metadata, and tensors into their places. Both kinds of
// source end here.
#pragma once

#include "models/architectures.h"

namespace enxuto {

// Reads and checks every hyper-parameter of `metadata`.
Result<HyperParameters> read_hyper_parameters(const Architecture& architecture,
                                              const Metadata& metadata);

// Finds every tensor that the architecture needs in model.tensors (GGUF names), checks its shape,
// converts small ones to F32.
Status bind_tensors(const Architecture& architecture, Model& model);

}  // namespace enxuto
