#include "base/bytes.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace enxuto {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};

constexpr std::array<Unit, 17> kUnits = {{{"", 1},
                                          {"B", 1},
                                          {"K", 0x1p10},
                                          {"M", 0x1p20},
                                          {"G", 0x1p30},
                                          {"T", 0x1p40},
                                          {"KIB", 0x1p10},
                                          {"MIB", 0x1p20},
                                          {"GIB", 0x1p30},
                                          {"TIB", 0x1p40},
                                          {"KB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12},
                                          {"KI", 0x1p10},
                                          {"MI", 0x1p20},
                                          {"GI", 0x1p30}}};

}  // namespace

Result<uint64_t> parse_bytes(std::string_view text) {
  auto wrong = [&] {
    return Status::usage(fmt::format("'{}' is not a size", text),
                         "write a size as 512MiB, 1.5GB, 700M or a number of bytes");
  };
  double number = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !(number >= 0)) return wrong();
  std::string unit;
  for (const char* c = end; c != text.data() + text.size(); ++c) {
    if (*c == ' ' && unit.empty()) continue;
    unit += static_cast<char>(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
  }
  for (const Unit& known : kUnits) {
    if (unit != known.name) continue;
    const double bytes = number * known.bytes;
    if (!(bytes < 0x1p63)) return wrong();
    return static_cast<uint64_t>(std::floor(bytes));
  }
  return wrong();
}

Result<uint64_t> parse_count(std::string_view text) {
  double number = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number, std::chars_format::fixed);
  const std::string_view unit(end, static_cast<size_t>(last - end));
  constexpr std::pair<std::string_view, double> kFactors[] = {
      {"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {"m", 1e6}, {"B", 1e9}, {"b", 1e9}};
  for (const auto& [name, factor] : kFactors)
    if (error == std::errc() && unit == name && number >= 0 && number * factor < 0x1p63)
      return static_cast<uint64_t>(std::floor(number * factor));
  return Status::usage(fmt::format("'{}' is not a count", text),
                       "write it as 5M, 1.5B, 300k or a number");
}

std::string format_bytes(uint64_t bytes) {
  if (bytes < kKiB) return fmt::format("{} B", bytes);
  constexpr const char* kNames[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  int unit = 0;
  while (value >= 999.95 && unit < 5) value /= 1024, ++unit;
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : 1, kNames[unit]);
}

std::string format_count(uint64_t count) {
  std::string digits = std::to_string(count);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(i, ",");
  return digits;
}

}  // namespace enxuto
