// JSON as the commands print it: keys in the order they were set, two spaces, one final newline.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

namespace enxuto {

using Json = nlohmann::ordered_json;

// Names from files may be malformed UTF-8: such bytes are replaced.
inline std::string to_text(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}
inline void print_json(const Json& json) { fmt::print("{}", to_text(json)); }

}  // namespace enxuto
