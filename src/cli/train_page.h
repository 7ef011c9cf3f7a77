// A report of train as one page of HTML that needs nothing else.
#pragma once

#include <string>

#include "cli/json_output.h"

namespace enxuto {

// `report`: as docs/json.md says of --report, of train.
std::string train_page(const Json& report);

}  // namespace enxuto
