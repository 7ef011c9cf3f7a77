#define PCRE2_CODE_UNIT_WIDTH 8
#include "compress/pins.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <memory>

namespace enxuto {
namespace {

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};
using Pattern = std::unique_ptr<pcre2_code, Free>;

Result<Pattern> compile(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE place = 0;
  Pattern code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), 0,
                             &error, &place, nullptr));
  if (code) return code;
  char message[256];
  pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
  return Status::usage(
      fmt::format("'{}' is no regular expression: {} at character {}", pattern, message, place),
      "write it as ffn_down or ^blk\\.[0-3]\\.");
}

bool matches(const pcre2_code* code, const std::string& name) {
  const std::unique_ptr<pcre2_match_data, Free> match(
      pcre2_match_data_create_from_pattern(code, nullptr));
  return match && pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0,
                              match.get(), nullptr) > 0;
}

}  // namespace

Status pin_formats(const std::vector<Pin>& pins, const std::vector<Weight>& weights,
                   std::vector<std::vector<Type>>& menus) {
  for (const Pin& pin : pins) {
    ASSIGN_OR_RETURN(const Pattern code, compile(pin.pattern));
    bool used = false;
    for (size_t i = 0; i < weights.size(); ++i) {
      if (!matches(code.get(), weights[i].tensor->name)) continue;
      menus[i] = {pin.type};
      used = true;
    }
    if (!used)
      return Status::usage(fmt::format("'{}' names no weight of this model", pin.pattern),
                           "`enxuto inspect MODEL --tensors` lists their names");
  }
  // What no pin names has a menu of formats that it can have.
  for (size_t i = 0; i < weights.size(); ++i) {
    const Tensor& tensor = *weights[i].tensor;
    const Codec& codec = *find_codec(menus[i].front());
    if (tensor.columns() % codec.block_values != 0)
      return Status::usage(
          fmt::format("{} cannot be {}: its rows have {} values, which are no blocks of {}",
                      tensor.name, codec.name, tensor.columns(), codec.block_values),
          "keep it in a format with smaller blocks, as Q8_0");
  }
  return {};
}

}  // namespace enxuto
