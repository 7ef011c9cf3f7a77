// Quality against bytes as a picture: compress --curve on the page of --report.
#pragma once

#include <string>

#include "cli/json_output.h"

namespace enxuto {

// An SVG of the keys `curve` and `mixes` of a report of compress, and of the file it wrote where it
// has one. Empty where no divergence of the curve is above 0.
std::string rate_chart(const Json& report);

}  // namespace enxuto
