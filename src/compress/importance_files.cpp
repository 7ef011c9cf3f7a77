#include "compress/importance_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "formats/imatrix.h"

namespace enxuto {
namespace {

constexpr const char* kTodo = "make the importance matrix from this model";

Status bring(const Tensor& tensor, const ImatrixEntry& entry, std::span<float> relative) {
  if (entry.matrices == 1 && entry.columns != tensor.columns())
    return Status::bad_input(
        fmt::format("{} columns, the model has {}", entry.columns, tensor.columns()), kTodo);
  TRY(entry.mean_squares(relative));
  const double mean =
      std::accumulate(relative.begin(), relative.end(), 0.0) / static_cast<double>(relative.size());
  for (float& value : relative)
    value = std::max(static_cast<float>(value / mean), static_cast<float>(kLeastEnergy));
  return {};
}

}  // namespace

Result<Importance> bring_importance(const std::string& path, const std::vector<Weight>& weights,
                                    Arena& arena) {
  ASSIGN_OR_RETURN(const Imatrix imatrix, open_imatrix(path));
  Importance importance;
  for (const Weight& weight : weights) {
    const ImatrixEntry* entry = weight.input ? imatrix.find(weight.tensor->name) : nullptr;
    // Experts have a matrix each there, and share what their inputs are here: that is measured.
    if (!entry || weight.tensor->shape[2] > 1 || importance.contains(weight.input)) continue;
    ASSIGN_OR_RETURN(const auto relative,
                     arena.take<float>(owner::kImportance, weight.input->columns()));
    TRY(bring(*weight.tensor, *entry, relative)
            .in(fmt::format("{}: entry {}", path, weight.tensor->name)));
    importance[weight.input] = relative;
  }
  if (importance.empty())
    return Status::bad_input(fmt::format("{} knows no weight of this model", path), kTodo);
  return importance;
}

Status save_importance(OutputFile& file, const std::string& text_name,
                       const std::vector<std::vector<Token>>& chunks,
                       const std::vector<Weight>& weights, const Importance& importance) {
  ImatrixText text{text_name, static_cast<uint32_t>(chunks.size()),
                   static_cast<uint32_t>(chunks.front().size()), 0};
  for (const auto& chunk : chunks) text.tokens += chunk.size();
  std::vector<NamedMeans> means;
  for (const Weight& weight : weights)
    if (weight.input)
      means.push_back({weight.tensor->name, importance.at(weight.input), weight.tensor->shape[2]});
  return write_imatrix(file, text, means);
}

}  // namespace enxuto
