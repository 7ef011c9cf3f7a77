// The command line, read into the structs of commands.h.
#pragma once

#include <functional>

#include "base/status.h"

namespace enxuto {

// The command that was asked for, ready to be called. Help and --version are printed here, and
// leave a command that does nothing.
Result<std::function<Status()>> parse_arguments(int argc, const char* const* argv);

}  // namespace enxuto
