#include "cli/model_parts.h"

#include <algorithm>
#include <map>

namespace enxuto {
namespace {

enum Part : size_t {
  kEmbedding,
  kAttention,
  kFeedForward,
  kExperts,
  kNorms,
  kHead,
  kOther,
  kPartCount
};
constexpr const char* kPartNames[kPartCount] = {"embedding", "attention", "feed-forward", "experts",
                                                "norms",     "head",      "other"};

std::map<const Tensor*, Part> parts_of(const Model& model) {
  std::map<const Tensor*, Part> part;
  for (const LayerWeights& layer : model.layers) {
    for (const Tensor* t : {layer.q, layer.k, layer.v, layer.qkv, layer.attn_output, layer.q_bias,
                            layer.k_bias, layer.v_bias, layer.qkv_bias, layer.attn_output_bias})
      part[t] = kAttention;
    for (const Tensor* t : {layer.gate, layer.up, layer.up_bias, layer.down, layer.down_bias})
      part[t] = layer.router ? kExperts : kFeedForward;
    for (const Tensor* t :
         {layer.router, layer.shared_router, layer.shared_gate, layer.shared_up, layer.shared_down})
      part[t] = kFeedForward;
    for (const Tensor* t :
         {layer.attn_norm, layer.attn_norm_bias, layer.q_norm, layer.k_norm, layer.post_attn_norm,
          layer.ffn_norm, layer.ffn_norm_bias, layer.post_ffn_norm})
      part[t] = kNorms;
  }
  part[model.output_norm] = part[model.output_norm_bias] = kNorms;
  part[model.position_embedding] = kEmbedding;
  part[model.output] = kHead;
  part[model.token_embedding] = kEmbedding;  // after the head: a tied one counts here
  return part;
}

void count(ModelPart& share, const Tensor& tensor) {
  ++share.tensors;
  share.parameters += tensor.count();
  share.bytes += tensor.bytes();
}

}  // namespace

Composition compose(const Model& model) {
  const auto part = parts_of(model);
  Composition result;
  for (const char* name : kPartNames) result.parts.push_back({name});
  std::map<Type, ModelPart> formats;
  for (const Tensor& tensor : model.tensors) {
    const auto found = part.find(&tensor);
    count(result.parts[found == part.end() ? kOther : found->second], tensor);
    count(formats[tensor.type], tensor);
    count(result.total, tensor);
  }
  std::erase_if(result.parts, [](const ModelPart& s) { return s.tensors == 0; });
  for (auto& [type, share] : formats) {
    share.name = find_codec(type)->name;
    result.formats.push_back(share);
  }
  std::stable_sort(result.formats.begin(), result.formats.end(),
                   [](const ModelPart& a, const ModelPart& b) { return a.bytes > b.bytes; });
  result.total.name = "all";
  return result;
}

}  // namespace enxuto
