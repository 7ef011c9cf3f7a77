// Values of a schema: where they lie, what type they are of, and how documents spell them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "formats/json.h"

namespace enxuto {

template <class T>
std::optional<T> at_key(simdjson::dom::object from, std::string_view key) {
  T value;
  if (from.at_key(key).get(value)) return std::nullopt;
  return value;
}

// The place of `key` below another, as a JSON pointer.
std::string below(const std::string& at, std::string_view key);
Status wrong_schema(const std::string& at, const std::string& what);  // kBadInput
std::string quoted(std::string_view text);
// Appends a value as documents are written.
void write_value(JsonElement value, std::string& out);
bool is_of_type(JsonElement value, std::string_view type);

}  // namespace enxuto
