// Numbers and dates as texts: read to doubles, and written as they were. A date is a number of
// seconds since 1970.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace enxuto {

struct ParsedNumber {
  double value = 0;
  int decimals = 0;           // digits after the point
  bool ends_in_zero = false;  // of those
  bool has_exponent = false;
};

// "-12", "0.50", "1e-5". Not "007", "+1" or "1,000": those are texts. Beyond 1e300: texts, too.
std::optional<ParsedNumber> parse_number(std::string_view text);

// How a column writes its numbers.
struct NumberFormat {
  enum Style { kFixed, kTrimmed, kGeneral };  // always as many decimals; no zeros at the end; any
  Style style = kFixed;
  int decimals = 0;
  std::string text(double value) const;
};

// Patterns that are known, as "YYYY-MM-DD hh:mm"; a column has one.
std::span<const std::string_view> date_patterns();
std::optional<double> parse_date(std::string_view text, std::string_view pattern);
std::string date_text(double seconds, std::string_view pattern);

}  // namespace enxuto
