#include "media/table_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>

namespace enxuto {
namespace {

constexpr double kMost = 1e300;
constexpr int kMostDigits = 16;
constexpr double kMostSeconds = 253402300799;  // the year 9999

constexpr std::string_view kPatterns[] = {
    "YYYY-MM-DD",           "YYYY/MM/DD",       "DD.MM.YYYY",          "DD/MM/YYYY",
    "MM/DD/YYYY",           "YYYY-MM-DD hh:mm", "YYYY-MM-DD hh:mm:ss", "YYYY-MM-DDThh:mm:ss",
    "YYYY-MM-DDThh:mm:ssZ", "DD.MM.YYYY hh:mm", "DD/MM/YYYY hh:mm",    "MM/DD/YYYY hh:mm",
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr std::string_view kFields = "YMDhms";

}  // namespace

std::optional<ParsedNumber> parse_number(std::string_view text) {
  ParsedNumber number;
  const std::string_view digits = text.substr(text.starts_with('-'));
  if (digits.empty() || !is_digit(digits[0])) return {};
  if (digits[0] == '0' && digits.size() > 1 && is_digit(digits[1])) return {};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number.value);
  if (error != std::errc() || end != last || !(std::abs(number.value) <= kMost)) return {};
  if (const size_t exponent = text.find_first_of("eE"); exponent != text.npos) {
    number.has_exponent = true;
    text = text.substr(0, exponent);
  }
  if (const size_t point = text.find('.'); point != text.npos) {
    number.decimals = static_cast<int>(text.size() - point - 1);
    number.ends_in_zero = text.ends_with('0');
    if (number.decimals == 0) return {};
  }
  return number;
}

std::string NumberFormat::text(double value) const {
  if (style == kGeneral) return fmt::format("{}", value);
  // Digits that a double does not have are not made up.
  const double magnitude = std::floor(std::log10(std::fmax(std::abs(value), 1)));
  const int most = std::max(0, kMostDigits - 1 - static_cast<int>(magnitude));
  std::string text =
      fmt::format("{:.{}f}", value, style == kTrimmed ? std::min(decimals, most) : decimals);
  if (style == kTrimmed && text.find('.') != text.npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
  }
  return text.find_first_not_of("-0.") == text.npos && text.starts_with('-') ? text.substr(1)
                                                                             : text;
}

std::span<const std::string_view> date_patterns() { return kPatterns; }

std::optional<double> parse_date(std::string_view text, std::string_view pattern) {
  if (text.size() != pattern.size()) return {};
  int values[6] = {1970, 1, 1, 0, 0, 0};
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t field = kFields.find(pattern[i]);
    if (field == kFields.npos) {
      if (text[i] != pattern[i]) return {};
      continue;
    }
    if (!is_digit(text[i])) return {};
    if (i == 0 || pattern[i - 1] != pattern[i]) values[field] = 0;
    values[field] = values[field] * 10 + (text[i] - '0');
  }
  using namespace std::chrono;
  const year_month_day day(year(values[0]), month(static_cast<unsigned>(values[1])),
                           std::chrono::day(static_cast<unsigned>(values[2])));
  if (!day.ok() || values[3] > 23 || values[4] > 59 || values[5] > 59) return {};
  const auto days = sys_days(day).time_since_epoch().count();
  return static_cast<double>(days) * 86400 + values[3] * 3600 + values[4] * 60 + values[5];
}

std::string date_text(double seconds, std::string_view pattern) {
  using namespace std::chrono;
  const auto whole = static_cast<int64_t>(
      std::floor(std::fmin(std::fmax(seconds, -kMostSeconds / 5), kMostSeconds)));
  const sys_days days = floor<std::chrono::days>(sys_seconds(std::chrono::seconds(whole)));
  const year_month_day date(days);
  const int64_t rest = whole - days.time_since_epoch().count() * 86400;
  const int64_t values[6] = {static_cast<int>(date.year()),
                             static_cast<unsigned>(date.month()),
                             static_cast<unsigned>(date.day()),
                             rest / 3600,
                             rest / 60 % 60,
                             rest % 60};
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const size_t field = kFields.find(pattern[i]);
    if (field == kFields.npos)
      text += pattern[i];
    else if (i == 0 || pattern[i - 1] != pattern[i])
      text += fmt::format("{:0{}}", values[field], field == 0 ? 4 : 2);
  }
  return text;
}

}  // namespace enxuto
