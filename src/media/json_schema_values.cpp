#include "media/json_schema_values.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace enxuto {

std::string below(const std::string& at, std::string_view key) {
  std::string place = at + "/";
  for (const char c : key) place += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return place;
}

Status wrong_schema(const std::string& at, const std::string& what) {
  return Status::bad_input(fmt::format("schema: {}: {}", at, what),
                           "docs/media.md lists what a schema may say");
}

std::string quoted(std::string_view text) {
  constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
  std::string out = "\"";
  for (const char c : text) {
    if (const size_t i = kEscaped.find(c); i != std::string_view::npos)
      out.append("\\").append(1, kLetters[i]);
    else if (static_cast<uint8_t>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + '"';
}

void write_value(JsonElement value, std::string& out) {
  simdjson::dom::array array;
  simdjson::dom::object object;
  bool first = true;
  const auto comma = [&] { out += std::exchange(first, false) ? "" : ", "; };
  if (!value.get(array)) {
    out += '[';
    for (const JsonElement each : array) comma(), write_value(each, out);
    out += ']';
  } else if (!value.get(object)) {
    out += '{';
    for (const auto each : object) {
      comma();
      out += quoted(each.key) + ": ";
      write_value(each.value, out);
    }
    out += '}';
  } else if (std::string_view string; !value.get(string)) {
    out += quoted(string);
  } else {
    out += simdjson::minify(value);
  }
}

bool is_of_type(JsonElement value, std::string_view type) {
  if (type == "integer") {
    double number = 0;
    return !value.get(number) && std::floor(number) == number;
  }
  return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
         (type == "string" && value.is_string()) || (type == "number" && value.is_number()) ||
         (type == "boolean" && value.is_bool()) || (type == "null" && value.is_null());
}

}  // namespace enxuto
