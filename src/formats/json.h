// JSON out of untrusted files: simdjson's tree, with its errors as ours. Numbers, depth and size
// are bounded by simdjson and by `limit`.
#pragma once

#include <simdjson.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace enxuto {

// Keeps the tree that `root` points into.
struct Json {
  std::unique_ptr<simdjson::dom::parser> parser;
  simdjson::dom::element root;

  static Result<Json> parse(std::string_view text);
  static Result<Json> read(const std::string& path, uint64_t limit);  // errors name the file
};

// What an object holds at `key`; nothing where it is missing, null or of another kind. `from` may
// be anything: only an object has keys.
using JsonElement = simdjson::dom::element;
std::optional<JsonElement> json_at(JsonElement from, std::string_view key);
std::optional<std::string_view> json_string(JsonElement from, std::string_view key);
std::optional<uint64_t> json_unsigned(JsonElement from, std::string_view key);
std::optional<double> json_number(JsonElement from, std::string_view key);
std::optional<bool> json_bool(JsonElement from, std::string_view key);
std::optional<simdjson::dom::array> json_array(JsonElement from, std::string_view key);
std::optional<simdjson::dom::object> json_object(JsonElement from, std::string_view key);

}  // namespace enxuto
