// The formats of the KV cache: how they are named and asked for, what each is expected to cost, and
// which layers take which where the loss of each was measured.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "plan/session_layout.h"

namespace enxuto {

// From the most bytes to the fewest.
inline constexpr Type kCacheTypes[] = {Type::F16, Type::Q8_0, Type::Q4_0};

// What is proposed where f16 does not fit.
inline constexpr KvFormat kSmallCache = {Type::Q8_0, Type::Q8_0};

// Of a layer, and of every layer, from what InferenceRequest::kv says.
KvFormat cache_of_layer(std::span<const KvFormat> kv, size_t layer);
std::vector<KvFormat> cache_of_layers(std::span<const KvFormat> kv, uint32_t n_layers);
// Whether all layers have the same.
bool is_uniform(std::span<const KvFormat> layers);

// "q8_0", "K q8_0, V f16", or how many layers have which.
std::string cache_name(std::span<const KvFormat> layers);
// The same in a word, for tables: "by layer" where they differ.
std::string cache_label(std::span<const KvFormat> layers);
// What asks for them: "-ctk q8_0 -ctv q8_0", "-ctk q8_0 -ctv q4_0,0-2=q8_0".
std::string cache_options(std::span<const KvFormat> layers);

// Mean KL divergence from an f16 cache that is to be expected, in nats: what was measured on
// SmolLM2-135M, for keys and values apart, and for keys with a bias on Qwen2.5-Coder-1.5B, which
// q4_0 ruins (docs/decisions/0009).
double expected_cache_kld(const Model& model, std::span<const KvFormat> layers);

// What one layer's keys and values cost in each of kCacheTypes: mean KL divergence from f16, in
// nats; 0 for f16 itself.
struct LayerLoss {
  double key[std::size(kCacheTypes)] = {}, value[std::size(kCacheTypes)] = {};
};
double cache_loss(std::span<const LayerLoss> losses, std::span<const KvFormat> layers);

// Which of the two a choice may change.
struct CacheParts {
  bool keys = false, values = false;
  bool any() const { return keys || values; }
};

// The formats with the least loss with which `request` fits `budget_bytes`: from f16 on, the change
// that costs least for each byte it saves comes first. Weights stay resident where any formats
// allow it; where none do, they are streamed. What `parts` leaves out stays as the request says.
// Where nothing fits, the smallest.
std::vector<KvFormat> choose_cache(const Model& model, const InferenceRequest& request,
                                   CacheParts parts, std::span<const LayerLoss> losses,
                                   uint64_t budget_bytes);

}  // namespace enxuto
