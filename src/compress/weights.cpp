#include "compress/weights.h"

#include <algorithm>
#include <map>

namespace enxuto {

std::vector<Weight> find_weights(const Model& model) {
  std::map<const Tensor*, Weight> known;
  for (uint32_t l = 0; l < model.layers.size(); ++l) {
    const LayerWeights& w = model.layers[l];
    for (const Tensor* tensor : matrices_of(w)) {
      const bool beside_gate =
          w.gate && (tensor == w.up || tensor == w.shared_gate || tensor == w.shared_up);
      const Tensor* input = tensor == w.k || tensor == w.v ? w.q : beside_gate ? w.gate : tensor;
      known[tensor] = {tensor, l, input, false};
    }
  }
  known[model.output] = {model.output, model.hyper.n_layers, model.output, model.tied()};
  if (!model.tied()) known[model.token_embedding] = {model.token_embedding, 0, nullptr, true};
  std::vector<Weight> weights;
  for (const Tensor& tensor : model.tensors)
    if (const auto it = known.find(&tensor); it != known.end()) weights.push_back(it->second);
  return weights;
}

bool is_float(Type type) { return type == Type::F32 || type == Type::F16 || type == Type::BF16; }

std::vector<Type> menu_for(const Tensor& tensor, std::span<const Type> allowed) {
  const auto wanted = [&](Type type) {
    if (allowed.empty()) return !find_codec(type)->present;
    return std::ranges::find(allowed, type) != allowed.end();
  };
  std::vector<Type> menu;
  for (const Codec* codec : all_codecs()) {
    if (codec->type == tensor.type || !codec->encode || !wanted(codec->type)) continue;
    if (tensor.columns() % codec->block_values != 0) continue;
    if (is_float(codec->type) && !(codec->type == Type::F16 && tensor.type == Type::F32)) continue;
    if (codec->row_bytes(tensor.columns()) < tensor.row_bytes()) menu.push_back(codec->type);
  }
  if (menu.empty() || wanted(tensor.type)) menu.push_back(tensor.type);
  std::ranges::stable_sort(
      menu, {}, [&](Type type) { return find_codec(type)->row_bytes(tensor.columns()); });
  return menu;
}

void decode_row(const Tensor& tensor, uint64_t row, float* values) {
  tensor.codec().decode(tensor.row(row).data(), values, tensor.columns());
}

}  // namespace enxuto
