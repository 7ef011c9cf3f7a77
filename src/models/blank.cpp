#include "models/blank.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/architectures.h"

namespace enxuto {
namespace {

Tensor shaped(std::string name, uint64_t columns, uint64_t rows) {
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.n_dims = rows > 1 ? 2 : 1;
  tensor.shape[0] = columns, tensor.shape[1] = rows;
  return tensor;
}

Tensor shaped(std::string name, const TensorRule& rule, const HyperParameters& hyper) {
  Tensor tensor =
      shaped(std::move(name), length_of(rule.columns, hyper), length_of(rule.rows, hyper));
  if (rule.each_expert) tensor.n_dims = 3, tensor.shape[2] = hyper.n_experts;
  return tensor;
}

bool has(const Tensor* LayerWeights::*slot, std::span<const TensorRule> rules) {
  return std::ranges::find(rules, slot, &TensorRule::slot) != rules.end();
}

// Biases are left out, as most architectures do.
bool is_optional_bias(const TensorRule& rule) { return !rule.required; }

Status check(const ModelShapeRequest& r) {
  if (r.n_layers == 0 || r.width == 0 || r.n_heads == 0 || r.n_kv_heads == 0 || r.ffn_width == 0)
    return Status::usage("a model needs layers, a width, heads and an FFN",
                         "give all of them, or only how large it shall be: --params 5M");
  if (r.width % r.n_heads != 0 || r.width / r.n_heads % 32 != 0)
    return Status::usage(fmt::format("{} heads cannot share a width of {}", r.n_heads, r.width),
                         "choose heads of 32, 64 or 128 values");
  if (r.n_heads % r.n_kv_heads != 0)
    return Status::usage(
        fmt::format("{} heads cannot share {} key/value heads", r.n_heads, r.n_kv_heads),
        "choose a divisor of the heads");
  return {};
}

// An expert's width has a key of its own where the other is of a network without experts.
void describe_ffn(const ModelShapeRequest& r, const Architecture& architecture,
                  Metadata& metadata) {
  const std::string prefix = r.architecture + ".";
  const bool own = r.n_experts && architecture.mixture.own_width;
  metadata.set_u32(prefix + "feed_forward_length", r.ffn_width * (own ? r.n_experts_used : 1));
  if (r.n_experts == 0) return;
  metadata.set_u32(prefix + "expert_count", r.n_experts);
  metadata.set_u32(prefix + "expert_used_count", r.n_experts_used);
  if (own) metadata.set_u32(prefix + "expert_feed_forward_length", r.ffn_width);
  if (has(&LayerWeights::shared_gate, architecture.mixture.layer))
    metadata.set_u32(prefix + "expert_shared_feed_forward_length", r.ffn_width);
}

Metadata describe(const ModelShapeRequest& r, const Architecture& architecture,
                  const Metadata& tokenizer) {
  Metadata metadata = tokenizer;
  for (const auto& [key, value] : tokenizer.entries())
    if (!key.starts_with("tokenizer.") && !key.starts_with("enxuto.")) metadata.erase(key);
  metadata.set_string("general.architecture", r.architecture);
  const std::string prefix = r.architecture + ".";
  metadata.set_u32(prefix + "block_count", r.n_layers);
  metadata.set_u32(prefix + "context_length", r.context);
  metadata.set_u32(prefix + "embedding_length", r.width);
  describe_ffn(r, architecture, metadata);
  metadata.set_u32(prefix + "attention.head_count", r.n_heads);
  metadata.set_u32(prefix + "attention.head_count_kv", r.n_kv_heads);
  metadata.set_f32(prefix + epsilon_key(architecture.norm), 1e-5f);
  if (architecture.learned_positions) return metadata;
  metadata.set_u32(prefix + "rope.dimension_count", r.width / r.n_heads);
  metadata.set_f32(prefix + "rope.freq_base", 10000.0f);
  return metadata;
}

HyperParameters hyper_of(const ModelShapeRequest& r, uint32_t vocabulary) {
  HyperParameters hyper;
  hyper.n_layers = r.n_layers, hyper.width = r.width;
  hyper.n_heads = r.n_heads, hyper.n_kv_heads = r.n_kv_heads;
  hyper.ffn_width = hyper.shared_ffn_width = r.ffn_width;
  hyper.n_experts = r.n_experts, hyper.n_experts_used = r.n_experts_used;
  hyper.key_dim = hyper.value_dim = r.width / r.n_heads;
  hyper.vocabulary = vocabulary;
  hyper.trained_context = r.context;
  return hyper;
}

std::vector<Tensor> tensors_of(const Architecture& architecture, const HyperParameters& hyper) {
  std::vector<Tensor> tensors = {shaped(kEmbeddingRule.gguf, kEmbeddingRule, hyper)};
  if (architecture.learned_positions)
    tensors.push_back(shaped(kPositionRule.gguf, kPositionRule, hyper));
  for (uint32_t layer = 0; layer < hyper.n_layers; ++layer)
    for (const TensorRule& rule : layer_rules(architecture, hyper))
      if (!is_optional_bias(rule))
        tensors.push_back(shaped(layer_tensor_name(layer, rule), rule, hyper));
  tensors.push_back(shaped(kOutputNormRule.gguf, kOutputNormRule, hyper));
  if (architecture.norm == Norm::kMeanAndVariance)
    tensors.push_back(shaped(kOutputNormBiasRule.gguf, kOutputNormBiasRule, hyper));
  if (hyper.n_experts && architecture.mixture.own_head)
    tensors.push_back(shaped(kOutputRule.gguf, kOutputRule, hyper));
  return tensors;
}

// Multiples of 256 where a network is wide enough, else of 64, or 32.
uint32_t ffn_of(const ModelShapeRequest& shape) {
  const uint32_t usual = usual_ffn_width(shape);
  const uint32_t step = usual >= 512 ? 256 : usual >= 128 ? 64 : 32;
  return std::max(step, (usual + step / 2) / step * step);
}

}  // namespace

Result<ModelShapeRequest> with_experts(ModelShapeRequest r) {
  constexpr uint32_t kExperts = 8, kUsed = 2;
  const Architecture* known = find_architecture(r.architecture);
  if (!known)
    return Status::usage(fmt::format("architecture '{}' is not known", r.architecture),
                         "known are " + known_architectures());
  if (r.n_experts == 0 && (r.n_experts_used || known->layer.empty())) r.n_experts = kExperts;
  if (r.n_experts == 0) return r;
  if (known->mixture.layer.empty())
    return Status::usage(fmt::format("a {} has no experts", r.architecture),
                         "choose llama, qwen2moe or qwen3moe");
  if (r.n_experts_used == 0) r.n_experts_used = std::min(kUsed, r.n_experts);
  if (r.n_experts >= 2 && r.n_experts <= kMostExperts && r.n_experts_used <= r.n_experts) return r;
  return Status::usage(
      fmt::format("a mixture of {} experts, of which a token meets {}, cannot be", r.n_experts,
                  r.n_experts_used),
      fmt::format("choose 2 to {} experts, and as many of them at most for a token", kMostExperts));
}

Result<std::shared_ptr<const Model>> blank_model(const ModelShapeRequest& wanted,
                                                 const Metadata& tokenizer) {
  ASSIGN_OR_RETURN(const ModelShapeRequest request, with_experts(wanted));
  TRY(check(request));
  const MetaValue* tokens = tokenizer.find("tokenizer.ggml.tokens");
  if (!tokens || tokens->count == 0) return Status::usage("a model needs a tokenizer", "");
  const Architecture& architecture = *find_architecture(request.architecture);
  GgufFile parts;
  parts.metadata = describe(request, architecture, tokenizer);
  parts.tensors = tensors_of(architecture, hyper_of(request, static_cast<uint32_t>(tokens->count)));
  return make_model(std::move(parts));
}

uint64_t parameters_of(const ModelShapeRequest& r, uint32_t vocabulary) {
  uint64_t n = 0;
  for (const Tensor& t : tensors_of(*find_architecture(r.architecture), hyper_of(r, vocabulary)))
    n += t.count();
  return n;
}

uint32_t usual_ffn_width(const ModelShapeRequest& shape) {
  const Architecture& known = *find_architecture(shape.architecture);
  const auto rules = shape.n_experts ? known.mixture.layer : known.layer;
  const uint32_t whole = has(&LayerWeights::gate, rules) ? shape.width * 8 / 3 : 4 * shape.width;
  return whole / std::max(1u, shape.n_experts_used);
}

// Of the widths, the one whose number of layers comes closest to a layer for each 40 of it: deep
// enough to compose, wide enough to multiply fast (the shapes that small language models have).
Result<ModelShapeRequest> shape_of_size(uint64_t parameters, uint32_t vocabulary,
                                        const ModelShapeRequest& kind) {
  ASSIGN_OR_RETURN(ModelShapeRequest shape, with_experts(kind));
  constexpr double kWidthPerLayer = 40;
  ModelShapeRequest best;
  double least = INFINITY;
  for (const uint32_t width : {64u, 128u, 256u, 512u, 768u, 1024u, 1536u, 2048u}) {
    shape.n_layers = 1, shape.width = width;
    shape.n_heads = shape.n_kv_heads = width / (width >= 512 ? 64 : 32);
    shape.ffn_width = ffn_of(shape);
    const uint64_t one = parameters_of(shape, vocabulary);
    shape.n_layers = 2;
    const uint64_t layer = parameters_of(shape, vocabulary) - one;
    if (one > parameters + parameters / 8) continue;
    const double layers = 1 + static_cast<double>(parameters) / static_cast<double>(layer) -
                          static_cast<double>(one) / static_cast<double>(layer);
    shape.n_layers = static_cast<uint32_t>(std::clamp(std::round(layers), 1.0, 512.0));
    const double off = std::fabs(std::log(shape.n_layers * kWidthPerLayer / width));
    if (off < least) least = off, best = shape;
  }
  if (best.n_layers > 0) return best;
  return Status::usage(fmt::format("a vocabulary of {} leaves no room for layers in {} parameters",
                                   vocabulary, parameters),
                       "choose more parameters, or fewer tokens: --tokenizer bytes");
}

}  // namespace enxuto
