#include "formats/json.h"

#include <fmt/format.h>

#include "platform/file.h"

namespace enxuto {
namespace {

template <class T>
std::optional<T> get(JsonElement from, std::string_view key) {
  simdjson::dom::object object;
  simdjson::dom::element element;
  T value;
  if (from.get(object) || object.at_key(key).get(element) || element.get(value))
    return std::nullopt;
  return value;
}

}  // namespace

Result<Json> Json::parse(std::string_view text) {
  Json json{std::make_unique<simdjson::dom::parser>(), {}};
  const auto error = json.parser->parse(text.data(), text.size()).get(json.root);
  if (error)
    return Status::bad_input(fmt::format("not sound JSON: {}", simdjson::error_message(error)),
                             "download the file again");
  return json;
}

Result<Json> Json::read(const std::string& path, uint64_t limit) {
  ASSIGN_OR_RETURN(const std::string text, read_text_file(path, limit));
  auto json = parse(text);
  if (!json.ok()) return json.status().in(path);
  return json;
}

std::optional<JsonElement> json_at(JsonElement from, std::string_view key) {
  const auto element = get<JsonElement>(from, key);
  if (element && element->is_null()) return std::nullopt;
  return element;
}

std::optional<std::string_view> json_string(JsonElement from, std::string_view key) {
  return get<std::string_view>(from, key);
}
std::optional<uint64_t> json_unsigned(JsonElement from, std::string_view key) {
  return get<uint64_t>(from, key);
}
std::optional<double> json_number(JsonElement from, std::string_view key) {
  return get<double>(from, key);
}
std::optional<bool> json_bool(JsonElement from, std::string_view key) {
  return get<bool>(from, key);
}
std::optional<simdjson::dom::array> json_array(JsonElement from, std::string_view key) {
  return get<simdjson::dom::array>(from, key);
}
std::optional<simdjson::dom::object> json_object(JsonElement from, std::string_view key) {
  return get<simdjson::dom::object>(from, key);
}

}  // namespace enxuto
