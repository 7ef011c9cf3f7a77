#include "media/json_number.h"

#include <algorithm>

namespace enxuto {
namespace {

constexpr uint64_t kMostUnits = 999'999'999'999'999'999;  // 18 digits: twice of it fits

uint64_t power_of_ten(uint32_t n) {
  uint64_t power = 1;
  while (n--) power *= 10;
  return power;
}

struct Range {
  uint64_t low = 1, high = 0;
  bool empty() const { return low > high; }
  Range operator&(const Range& other) const {
    return {std::max(low, other.low), std::min(high, other.high)};
  }
};

// Of what follows the sign; -0 is not written.
Range magnitudes(const JsonNode& node, bool negative) {
  const auto from_zero = [](int64_t x) { return static_cast<uint64_t>(std::max<int64_t>(x, 0)); };
  if (!negative) return node.high < 0 ? Range{} : Range{from_zero(node.low), from_zero(node.high)};
  if (node.low >= 0) return {};
  return {std::max<uint64_t>(1, from_zero(-node.high)), from_zero(-node.low)};
}

// The least values that begin as typed, with so many more digits before the point; empty: none.
Range values(const JsonNode& node, const TypedNumber& typed, uint32_t more) {
  const Range all = magnitudes(node, typed.negative);
  if (typed.place == 0) return more == 0 ? all : Range{};
  if (typed.place >= 2) {
    if (more) return {};
    const uint64_t step = power_of_ten(node.decimals - (typed.place - 2));
    return all & Range{typed.digits * step, typed.digits * step + step - 1};
  }
  if (typed.digits == 0 && more) return {};
  const uint64_t step = power_of_ten(more + node.decimals);
  if (typed.digits > kMostUnits / step) return {};
  return all & Range{typed.digits * step, typed.digits * step + step - 1};
}

bool can_end(const JsonNode& node, const TypedNumber& typed) {
  for (uint32_t more = 0; more + node.decimals <= 18; ++more)
    if (!values(node, typed, more).empty()) return true;
  return false;
}

// Where no bound is near, numbers of as many digits go on alike: one stands for all.
uint64_t stand_in(const JsonNode& node, uint64_t digits) {
  const auto most = static_cast<int64_t>(power_of_ten(node.decimals ? 18 : 15)) - 1;
  if (node.low != -most || node.high != most) return digits;
  uint64_t power = 1;
  while (power <= digits / 10) power *= 10;
  return std::min(power, digits);
}

std::string text_of(const JsonNode& node, uint64_t value, bool needs_point) {
  const uint64_t unit = power_of_ten(node.decimals);
  std::string text = std::to_string(value / unit);
  if (value % unit == 0 && !needs_point) return text;
  std::string decimals = std::to_string(value % unit + unit).substr(1);
  while (decimals.size() > 1 && decimals.back() == '0') decimals.pop_back();
  return text + "." + decimals;
}

}  // namespace

std::optional<TypedNumber> type_number(const JsonNode& node, TypedNumber typed, char byte) {
  if (byte == '-') {
    if (typed.negative || typed.place) return std::nullopt;
    typed.negative = true;
  } else if (byte == '.') {
    if (typed.place != 1 || node.decimals == 0) return std::nullopt;
    typed.place = 2;
  } else {
    const bool zero_first = typed.place == 1 && typed.digits == 0;
    if (byte < '0' || byte > '9' || zero_first || typed.place == 2 + node.decimals)
      return std::nullopt;
    if (typed.digits > kMostUnits / 10) return std::nullopt;
    typed.digits = typed.digits * 10 + static_cast<uint64_t>(byte - '0');
    typed.place += typed.place != 1;
  }
  // The point may stand only where what it makes exact is allowed.
  if (!can_end(node, typed)) return std::nullopt;
  typed.digits = stand_in(node, typed.digits);
  return typed;
}

bool is_number(const JsonNode& node, const TypedNumber& typed) {
  if (typed.place == 0 || typed.place == 2) return false;
  const uint32_t decimals = typed.place == 1 ? 0 : typed.place - 2;
  const uint64_t step = power_of_ten(node.decimals - decimals);
  if (typed.digits > kMostUnits / step) return false;
  const uint64_t value = typed.digits * step;
  const Range all = magnitudes(node, typed.negative);
  return value >= all.low && value <= all.high;
}

void finish_number(const JsonNode& node, const TypedNumber& typed, std::string& out) {
  if (is_number(node, typed)) return;
  TypedNumber from = typed;
  if (typed.place == 0 && !typed.negative && node.high < 0) from.negative = true, out += '-';
  Range left;
  for (uint32_t more = 0; left.empty(); ++more) left = values(node, from, more);
  const uint64_t unit = power_of_ten(node.decimals);
  const uint64_t whole = (left.low + unit - 1) / unit * unit;
  const std::string text = text_of(node, whole <= left.high ? whole : left.low, typed.place >= 2);
  size_t there = 0;  // bytes of it that are typed already
  if (typed.place == 1) there = std::to_string(typed.digits).size();
  if (typed.place >= 2) there = text.find('.') + 1 + (typed.place - 2);
  out += text.substr(std::min(there, text.size()));
}

}  // namespace enxuto
