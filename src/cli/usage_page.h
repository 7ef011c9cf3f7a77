// A report of --report as one page of HTML that needs nothing else.
#pragma once

#include <string>

#include "cli/json_output.h"

namespace enxuto {

// `report`: as docs/json.md says of --report.
std::string usage_page(const Json& report);

}  // namespace enxuto
