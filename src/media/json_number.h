// A number as it is typed, digit by digit, so that it ends between two bounds.
#pragma once

#include <optional>
#include <string>

#include "media/json_grammar.h"

namespace enxuto {

struct TypedNumber {
  bool negative = false;
  uint32_t place = 0;   // 0: no digit yet; 1: before the point; 2 + n: n digits after it
  uint64_t digits = 0;  // all of them, as one integer

  bool operator==(const TypedNumber&) const = default;
};

// After one more byte; nothing where no number of the node begins so.
std::optional<TypedNumber> type_number(const JsonNode& node, TypedNumber typed, char byte);
// Whether it may end here.
bool is_number(const JsonNode& node, const TypedNumber& typed);
// Appends a short way to end it.
void finish_number(const JsonNode& node, const TypedNumber& typed, std::string& out);

}  // namespace enxuto
