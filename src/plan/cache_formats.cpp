#include "plan/cache_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "plan/plan.h"

namespace enxuto {
namespace {

// By kCacheTypes, all layers together; and what any change at all makes of 8-bit activations.
constexpr double kKeyLoss[] = {0, 0.001, 0.034}, kValueLoss[] = {0, 0.0006, 0.0063};
constexpr double kNoise = 0.0025;
// Of keys in q4_0 where they have a bias: a few of their numbers are far larger than all others.
constexpr double kBiasedKeyLoss = 6.4;

size_t index_of(Type type) {
  const auto at = std::ranges::find(kCacheTypes, type);
  return static_cast<size_t>(at - std::begin(kCacheTypes));
}

const char* name_of(Type type) {
  constexpr const char* kNames[] = {"f16", "q8_0", "q4_0"};
  return kNames[index_of(type)];
}

// "q4_0,0-2=q8_0": what most layers have, then the others.
std::string option_text(std::span<const KvFormat> layers, Type KvFormat::*part) {
  size_t count[std::size(kCacheTypes)] = {};
  for (const KvFormat& layer : layers) ++count[index_of(layer.*part)];
  const Type base = kCacheTypes[std::max_element(std::begin(count), std::end(count)) - count];
  std::string text = name_of(base);
  for (size_t first = 0, last; first < layers.size(); first = last + 1) {
    const Type type = layers[first].*part;
    for (last = first; last + 1 < layers.size() && layers[last + 1].*part == type;) ++last;
    if (type == base) continue;
    text += first == last ? fmt::format(",{}={}", first, name_of(type))
                          : fmt::format(",{}-{}={}", first, last, name_of(type));
  }
  return text;
}

// A step from one format of a layer's keys or values to a smaller one.
struct Step {
  size_t layer;
  Type KvFormat::*part;
  Type to;
  double loss_per_byte;
};

// A layer without a cache goes with the one before it, so that the choice is named in few words.
void take(const Step& step, const HyperParameters& hyper, std::vector<KvFormat>& layers) {
  for (size_t l = step.layer;
       l == step.layer || (l < layers.size() && !hyper.attends(static_cast<uint32_t>(l))); ++l)
    layers[l].*step.part = step.to;
}

// The steps of one layer's rows that are worth taking, cheapest first: none costs less for each
// byte than the one before.
void add_steps(size_t layer, uint32_t n_heads, Type KvFormat::*part, const double* losses,
               uint32_t n_values, std::vector<Step>& steps) {
  for (size_t from = 0; from + 1 < std::size(kCacheTypes);) {
    size_t best = 0;
    double least = 0;
    for (size_t to = from + 1; to < std::size(kCacheTypes); ++to) {
      const uint64_t before = kv_row_bytes(kCacheTypes[from], n_values);
      const uint64_t after = kv_row_bytes(kCacheTypes[to], n_values);
      if (after == 0) continue;
      const double cost =
          (losses[to] - losses[from]) / static_cast<double>(n_heads * (before - after));
      if (best && cost > least) continue;
      best = to, least = cost;
    }
    if (!best) return;
    steps.push_back({layer, part, kCacheTypes[best], least});
    from = best;
  }
}

}  // namespace

KvFormat cache_of_layer(std::span<const KvFormat> kv, size_t layer) {
  return kv.empty() ? KvFormat{} : kv[std::min(layer, kv.size() - 1)];
}

std::vector<KvFormat> cache_of_layers(std::span<const KvFormat> kv, uint32_t n_layers) {
  std::vector<KvFormat> layers(n_layers);
  for (size_t l = 0; l < n_layers; ++l) layers[l] = cache_of_layer(kv, l);
  return layers;
}

bool is_uniform(std::span<const KvFormat> layers) {
  return std::ranges::count(layers, layers.front()) == std::ssize(layers);
}

std::string cache_name(std::span<const KvFormat> layers) {
  std::map<std::string, uint32_t> counts;
  for (const KvFormat& f : layers)
    ++counts[f.key == f.value ? name_of(f.key)
                              : fmt::format("K {}, V {}", name_of(f.key), name_of(f.value))];
  if (counts.size() == 1) return counts.begin()->first;
  std::string text;
  for (const auto& [format, n] : counts)
    text += fmt::format("{}{} in {} layers", text.empty() ? "" : "; ", format, n);
  return text;
}

std::string cache_label(std::span<const KvFormat> layers) {
  return is_uniform(layers) ? cache_name(layers) : "by layer";
}

std::string cache_options(std::span<const KvFormat> layers) {
  return fmt::format("-ctk {} -ctv {}", option_text(layers, &KvFormat::key),
                     option_text(layers, &KvFormat::value));
}

double expected_cache_kld(const Model& model, std::span<const KvFormat> layers) {
  double sum = 0;
  for (size_t l = 0; l < layers.size(); ++l) {
    if (!model.hyper.attends(static_cast<uint32_t>(l))) continue;
    const KvFormat& f = layers[l];
    const bool biased = l < model.layers.size() && model.layers[l].k_bias;
    sum += biased && f.key == Type::Q4_0 ? kBiasedKeyLoss : kKeyLoss[index_of(f.key)];
    sum += kValueLoss[index_of(f.value)];
  }
  return sum > 0 ? sum / static_cast<double>(layers.size()) + kNoise : 0;
}

double cache_loss(std::span<const LayerLoss> losses, std::span<const KvFormat> layers) {
  double sum = 0;
  for (size_t l = 0; l < layers.size(); ++l)
    sum += losses[l].key[index_of(layers[l].key)] + losses[l].value[index_of(layers[l].value)];
  return sum;
}

std::vector<KvFormat> choose_cache(const Model& model, const InferenceRequest& request,
                                   CacheParts parts, std::span<const LayerLoss> losses,
                                   uint64_t budget_bytes) {
  const HyperParameters& hyper = model.hyper;
  std::vector<KvFormat> start = cache_of_layers(request.kv, hyper.n_layers);
  std::vector<Step> steps;
  for (size_t l = 0; l < start.size(); ++l) {
    if (parts.keys) start[l].key = Type::F16;
    if (parts.values) start[l].value = Type::F16;
    const uint32_t n_heads = hyper.widths(static_cast<uint32_t>(l)).n_kv_heads;
    if (n_heads == 0) continue;
    if (parts.keys) add_steps(l, n_heads, &KvFormat::key, losses[l].key, hyper.key_dim, steps);
    if (parts.values)
      add_steps(l, n_heads, &KvFormat::value, losses[l].value, hyper.value_dim, steps);
  }
  std::ranges::stable_sort(steps, {}, &Step::loss_per_byte);
  InferenceRequest trial = request;
  for (const uint64_t streamed_within : {uint64_t{0}, budget_bytes}) {
    trial.memory_bytes = streamed_within;
    trial.kv = start;
    for (const Step& step : steps) {
      if (fits(model, trial, budget_bytes)) return trial.kv;
      take(step, hyper, trial.kv);
    }
    if (fits(model, trial, budget_bytes)) return trial.kv;
  }
  return trial.kv;
}

}  // namespace enxuto
