// Where a command writes: never over its input, and over another file only where that was said.
#pragma once

#include <string>

#include "base/status.h"
#include "models/model.h"

namespace enxuto {

Status check_output(const Model& model, const std::string& path, bool force);

}  // namespace enxuto
