#define PCRE2_CODE_UNIT_WIDTH 8
#include "compress/pins.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>

namespace enxuto {

class Pins::Expression {
 public:
  Expression(pcre2_code* code, Pin pin) : code_(code), pin_(std::move(pin)) {}
  const Pin& pin() const { return pin_; }

  bool names(const std::string& tensor) const {
    const std::unique_ptr<pcre2_match_data, Free> match(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    return match && pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(tensor.data()),
                                tensor.size(), 0, 0, match.get(), nullptr) > 0;
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
  Pin pin_;
};

Pins::Pins() = default;
Pins::~Pins() = default;
Pins::Pins(Pins&&) noexcept = default;
Pins& Pins::operator=(Pins&&) noexcept = default;

Result<Pins> Pins::compile(const std::vector<Pin>& pins) {
  Pins compiled;
  for (const Pin& pin : pins) {
    int error = 0;
    PCRE2_SIZE place = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pin.pattern.data()),
                                     pin.pattern.size(), 0, &error, &place, nullptr);
    if (!code) {
      char message[256];
      pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof message);
      return Status::usage(fmt::format("'{}' is no regular expression: {} at character {}",
                                       pin.pattern, message, place),
                           "write it as ffn_down or ^blk\\.[0-3]\\.");
    }
    compiled.expressions_.emplace_back(code, pin);
  }
  return compiled;
}

Status Pins::apply(const std::vector<Weight>& weights,
                   std::vector<std::vector<Type>>& menus) const {
  std::vector<bool> used(expressions_.size());
  for (size_t i = 0; i < weights.size(); ++i) {
    const Tensor& tensor = *weights[i].tensor;
    for (size_t e = 0; e < expressions_.size(); ++e) {
      if (!expressions_[e].names(tensor.name)) continue;
      used[e] = true;
      menus[i] = {expressions_[e].pin().type};
    }
    const Codec& codec = *find_codec(menus[i].front());
    if (tensor.columns() % codec.block_values != 0)
      return Status::usage(
          fmt::format("{} cannot be {}: its rows have {} values, which are no blocks of {}",
                      tensor.name, codec.name, tensor.columns(), codec.block_values),
          "keep it in a format with smaller blocks, as Q8_0");
  }
  const auto unused = std::ranges::find(used, false);
  if (unused == used.end()) return {};
  return Status::usage(
      fmt::format("'{}' names no weight of this model",
                  expressions_[static_cast<size_t>(unused - used.begin())].pin().pattern),
      "`enxuto inspect MODEL --tensors` lists their names");
}

}  // namespace enxuto
