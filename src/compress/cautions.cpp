#include "compress/cautions.h"

#include <fmt/format.h>

#include "base/bytes.h"

namespace enxuto {
namespace {

// Of the tokens that are wanted.
constexpr double kShortText = 0.5;
// Languages that a tokenizer was made for come to three to five bytes a token; noise, and those
// that it knows by their bytes alone, to less than two. Small vocabularies are bytes by design.
constexpr double kStrangeText = 2;
constexpr uint32_t kLeastVocabulary = 1000;

std::string of_short_text(const CalibrationChunks& chunks, const CalibrationShape& shape) {
  uint64_t tokens = 0;
  for (const auto& chunk : chunks.fit) tokens += chunk.size();
  const uint64_t wanted = uint64_t{shape.fit_tokens} * shape.fit_chunks;
  if (static_cast<double>(tokens) >= kShortText * static_cast<double>(wanted)) return {};
  return fmt::format(
      "the calibration text gives {} of the {} tokens that are wanted: what it says of each weight "
      "is rough, and a longer text is better",
      format_count(tokens), format_count(wanted));
}

std::string of_strange_text(const Model& model, const CalibrationChunks& chunks) {
  const double bytes_per_token =
      static_cast<double>(chunks.text_bytes) / static_cast<double>(chunks.text_tokens);
  if (bytes_per_token >= kStrangeText || model.hyper.vocabulary < kLeastVocabulary) return {};
  return fmt::format(
      "the calibration text has a token for every {:.1f} bytes, as text that the model does not "
      "know: calibrate on text like what it will meet",
      bytes_per_token);
}

std::string of_quantized_source(const std::vector<Weight>& weights) {
  double quantized = 0, all = 0;
  for (const Weight& weight : weights) {
    const auto count = static_cast<double>(weight.tensor->count());
    all += count;
    const Type type = weight.tensor->type;
    if (!is_float(type) && type != Type::SF16) quantized += count;  // SF16 has F16's values
  }
  if (quantized == 0) return {};
  return fmt::format(
      "{:.0f} % of the weights are quantized already: losses are told from this file, not from "
      "what it was made of; weights that keep their format are copied bit by bit",
      100 * quantized / all);
}

}  // namespace

std::vector<std::string> cautions(const Model& model, const std::vector<Weight>& weights,
                                  const CalibrationChunks& chunks, const CalibrationShape& shape) {
  std::vector<std::string> all = {of_short_text(chunks, shape), of_strange_text(model, chunks),
                                  of_quantized_source(weights)};
  std::erase(all, "");
  return all;
}

}  // namespace enxuto
