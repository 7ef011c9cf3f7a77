// A report of --report as one page of HTML that needs nothing else.
#pragma once

#include <string>

#include "cli/json_output.h"

namespace enxuto {

// `report`: as docs/json.md says of --report.
std::string usage_page(const Json& report);

// The part of it that is about memory. `memory`: that key of a report.
std::string memory_section(const Json& memory);

}  // namespace enxuto
