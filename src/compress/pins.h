// Formats that the user has chosen by hand: --keep REGEX=TYPE.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "compress/weights.h"

namespace enxuto {

struct Pin {
  std::string pattern;  // of a tensor's name, a part of it will do (PCRE2)
  Type type;
};

// Menus, one per weight, are cut down to what is pinned: by the last pin that names the weight.
// kUsage where a pattern is no regular expression, a weight cannot have the format, or a pin names
// none.
Status pin_formats(const std::vector<Pin>& pins, const std::vector<Weight>& weights,
                   std::vector<std::vector<Type>>& menus);

}  // namespace enxuto
