// A conversation on the terminal.
#pragma once

#include "cli/generate.h"

namespace enxuto {

// Reads lines (with editing and history) and answers them, until /exit or the end of input.
Status chat(Writer& writer, const RunOptions& options);

}  // namespace enxuto
