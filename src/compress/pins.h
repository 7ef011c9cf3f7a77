// Formats that the user has chosen by hand: --keep REGEX=TYPE.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "compress/weights.h"

namespace enxuto {

struct Pin {
  std::string pattern;  // of a tensor's name, a part of it will do (PCRE2)
  Type type;
};

class Pins {
 public:
  // kUsage where a pattern is no regular expression.
  static Result<Pins> compile(const std::vector<Pin>& pins);
  ~Pins();
  Pins(Pins&&) noexcept;
  Pins& operator=(Pins&&) noexcept;

  // Menus, one per weight, are cut down to what is pinned: by the last pin that names the weight.
  // kUsage where a weight cannot have the format, or a pin names none.
  Status apply(const std::vector<Weight>& weights, std::vector<std::vector<Type>>& menus) const;

 private:
  class Expression;
  Pins();
  std::vector<Expression> expressions_;
};

}  // namespace enxuto
