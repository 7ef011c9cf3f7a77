// Another program that does a part of the work.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace enxuto {

// Runs it to its end, without its output. kFailed where it is not installed (`package`: what Debian
// calls it) or says that it failed; kInterrupted where a signal ended it and this program as well.
Status run_child_program(const std::vector<std::string>& arguments, const char* package);

}  // namespace enxuto
