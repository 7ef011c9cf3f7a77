#include "prune/shape_search.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "compress/allocate.h"
#include "prune/pruned_file.h"

namespace enxuto {
namespace {

Status too_small(const Model& model, uint64_t least, uint64_t wanted) {
  const auto all = static_cast<double>(layer_bytes(model, whole_shape(model)));
  return Status::does_not_fit(
      fmt::format("the layers cannot shrink to {} this way", format_bytes(wanted)),
      fmt::format("the least they can be is {}: --remove {:.2f}", format_bytes(least),
                  1 - static_cast<double>(least) / all));
}

LayerShape with(LayerShape layer, Part part, uint32_t count) {
  (part == Part::kAttention ? layer.kv_heads : layer.channels) = count;
  return layer;
}

}  // namespace

uint64_t layer_bytes(const Model& model, const ModelShape& shape) {
  uint64_t bytes = 0;
  for (const LayerShape& layer : shape.layers)
    for (const Part part : {Part::kAttention, Part::kFfn})
      bytes += PrunedFile::part_bytes(model, layer, part);
  return bytes;
}

Result<ChosenShape> choose_shape(const Model& model, const std::vector<PartCosts>& costs,
                                 uint64_t room) {
  ChosenShape chosen{whole_shape(model), 0};
  uint64_t fixed = layer_bytes(model, chosen.shape);
  std::vector<Choices> items;
  for (const PartCosts& part : costs) {
    const LayerShape& whole = chosen.shape.layers[part.layer];
    Choices& choices = items.emplace_back();
    for (const PartLevel& level : part.levels)
      choices.push_back(
          {PrunedFile::part_bytes(model, with(whole, part.part, level.count), part.part),
           level.kld});
    fixed -= choices.front().bytes;
  }
  const auto best = allocate(items, room > fixed ? room - fixed : 0);
  if (!best) return too_small(model, fixed + smallest_bytes(items), room);
  for (size_t i = 0; i < costs.size(); ++i) {
    LayerShape& layer = chosen.shape.layers[costs[i].layer];
    layer = with(layer, costs[i].part, costs[i].levels[best->chosen[i]].count);
  }
  chosen.kld = best->cost;
  return chosen;
}

Result<ChosenShape> choose_uniform_shape(const Model& model, std::span<const Part> parts,
                                         uint64_t room) {
  ChosenShape chosen{whole_shape(model), 0};
  const LayerWidths widths = model.hyper.widths(0);
  // Channels go first: each is worth less than a head.
  for (const Part part : {Part::kFfn, Part::kAttention}) {
    if (std::ranges::find(parts, part) == parts.end()) continue;
    const uint32_t all = part == Part::kFfn ? widths.ffn_width : widths.n_kv_heads;
    const uint32_t step = part == Part::kFfn ? channel_step(all) : 1;
    const uint32_t least = part == Part::kFfn ? std::max(step, all / 4) : 1;
    for (uint32_t count = all; layer_bytes(model, chosen.shape) > room;) {
      const uint32_t next = (count - 1) / step * step;
      if (next < least) break;
      count = next;
      for (LayerShape& layer : chosen.shape.layers) layer = with(layer, part, count);
    }
  }
  const uint64_t bytes = layer_bytes(model, chosen.shape);
  if (bytes > room) return too_small(model, bytes, room);
  return chosen;
}

}  // namespace enxuto
