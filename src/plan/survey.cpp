#include "plan/survey.h"

#include <algorithm>
#include <tuple>

#include "plan/compression_plan.h"

namespace enxuto {
namespace {

// The first, the second and the last of n, and between them those to which the steps grow by one:
// 0, 2, 5, 9, 14, …
std::vector<bool> surveyed(size_t n, bool all) {
  std::vector<bool> marks(n, all);
  for (size_t i = 0, step = 2; i < n; i += step++) marks[i] = true;
  if (n > 1) marks[1] = marks[n - 1] = true;
  return marks;
}

bool is_probed(const Tensor& weight) {
  const Codec* probe = probe_codec(weight);
  return probe && probe->type != weight.type;
}

}  // namespace

Survey::Survey(const Model& model, bool of_all) {
  using Layer = LayerWeights;
  for (const auto matrix :
       {&Layer::q, &Layer::k, &Layer::v, &Layer::qkv, &Layer::attn_output, &Layer::gate, &Layer::up,
        &Layer::down, &Layer::shared_gate, &Layer::shared_up, &Layer::shared_down}) {
    std::map<std::tuple<uint64_t, uint64_t, Type>, std::vector<Member>> kinds;
    for (uint32_t l = 0; l < model.layers.size(); ++l)
      if (const Tensor* weight = model.layers[l].*matrix)
        kinds[{weight->columns(), weight->rows(), weight->type}].push_back({weight, l});
    for (const auto& [what, kind] : kinds) add_kind(kind, of_all || !is_probed(*kind[0].weight));
  }
  for (const Tensor* weight : {model.output, model.token_embedding})
    if (weight) places_[weight] = {weight, weight, 0};
}

size_t Survey::size() const {
  return static_cast<size_t>(
      std::ranges::count_if(places_, [](const auto& at) { return at.second.before == at.first; }));
}

void Survey::add_kind(const std::vector<Member>& kind, bool of_all) {
  const std::vector<bool> marks = surveyed(kind.size(), of_all);
  for (size_t i = 0, before = 0, after = 0; i < kind.size(); ++i) {
    if (marks[i]) before = i;
    while (after < i || !marks[after]) ++after;
    const double gap = kind[after].layer - kind[before].layer;
    places_[kind[i].weight] = {kind[before].weight, kind[after].weight,
                               gap > 0 ? (kind[i].layer - kind[before].layer) / gap : 0};
  }
}

}  // namespace enxuto
