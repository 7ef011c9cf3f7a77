#include "media/table_profile.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace enxuto {
namespace {

constexpr int kMostStepDecimals = 9;      // more are no steps of a column but of its numbers' type
constexpr double kMostUnits = 1LL << 53;  // above it doubles are no integers
constexpr int kMostDecimals = 17;

double power_of_ten(int n) { return std::pow(10.0, n); }

}  // namespace

bool is_missing(std::string_view text) {
  static constexpr std::string_view kNames[] = {"",     "NA",   "N/A",  "NaN", "nan",
                                                "null", "NULL", "None", "?",   "-"};
  return std::ranges::find(kNames, text) != std::end(kNames);
}

void ColumnProfile::Range::add(double value) {
  least = n ? std::min(least, value) : value;
  most = n ? std::max(most, value) : value;
  ++n;
}

void ColumnProfile::Steps::add(double value, int value_decimals) {
  if (lost) return;
  if (value_decimals > decimals) {
    const auto factor = static_cast<int64_t>(power_of_ten(value_decimals - decimals));
    lost = value_decimals > kMostStepDecimals || __builtin_mul_overflow(first, factor, &first) ||
           __builtin_mul_overflow(divisor, factor, &divisor);
    if (lost) return;
    decimals = value_decimals;
  }
  const double units = std::round(value * power_of_ten(decimals));
  lost = !(std::abs(units) < kMostUnits);
  if (lost) return;
  const auto whole = static_cast<int64_t>(units);
  if (!any) first = whole, any = true;
  lost = std::abs(static_cast<double>(first)) >= kMostUnits;
  if (!lost) divisor = std::gcd(divisor, whole - first);
}

double ColumnProfile::Steps::step() const {
  return lost || !any ? 0 : static_cast<double>(divisor) / power_of_ten(decimals);
}

void ColumnProfile::add(std::string_view text) {
  if (is_missing(text)) return;
  ++n_texts_;
  if (const auto number = parse_number(text)) {
    numbers_.range.add(number->value);
    least_decimals_ = std::min(least_decimals_, number->decimals);
    most_decimals_ = std::max(most_decimals_, number->decimals);
    ends_in_zero_ = ends_in_zero_ || number->ends_in_zero;
    has_exponent_ = has_exponent_ || number->has_exponent;
    numbers_.steps.add(number->value,
                       number->has_exponent ? kMostStepDecimals + 1 : number->decimals);
    return;
  }
  for (size_t i = 0; i < dates_.size(); ++i)
    if (const auto seconds = parse_date(text, date_patterns()[i])) {
      dates_[i].range.add(*seconds);
      dates_[i].steps.add(*seconds, 0);
    }
}

size_t ColumnProfile::pattern() const {
  const auto dates = [](const Values& values) { return values.range.n; };
  return static_cast<size_t>(std::ranges::max_element(dates_, {}, dates) - dates_.begin());
}

void ColumnProfile::describe(ColumnModel& model) const {
  if (is_number()) {
    model.kind = ColumnKind::kNumber;
    model.format.decimals = std::min(most_decimals_, kMostDecimals);
    model.format.style = has_exponent_                          ? NumberFormat::kGeneral
                         : least_decimals_ == most_decimals_    ? NumberFormat::kFixed
                         : ends_in_zero_ && most_decimals_ <= 2 ? NumberFormat::kFixed
                                                                : NumberFormat::kTrimmed;
    model.step = numbers_.steps.step();
  } else if (const Values& dates = dates_[pattern()]; are_most(dates.range)) {
    model.kind = ColumnKind::kDate;
    model.date_pattern = date_patterns()[pattern()];
    model.step = dates.steps.step();
  }
}

}  // namespace enxuto
