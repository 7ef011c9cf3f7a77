#include "cli/cache_report.h"

#include <fmt/format.h>

#include "base/bytes.h"

namespace enxuto {

Json caches_json(const ChoiceTable& table) {
  Json caches = Json::array();
  for (const CacheChoice& cache : table.caches)
    caches.push_back({{"kv", cache.name},
                      {"options", cache_options(cache.layers)},
                      {"bytes", cache.bytes},
                      {"expected_kld", cache.expected_kld},
                      {"measured", cache.measured},
                      {"total_bytes", cache.total_bytes},
                      {"fits", cache.fits},
                      {"largest_context", cache.largest_context}});
  return caches;
}

void print_caches(const ChoiceTable& table, const Paint& paint) {
  Table out({"KV cache", ">bytes", ">KLD", ">in all", ">longest"});
  for (const CacheChoice& cache : table.caches) {
    const std::string in_all = format_bytes(cache.total_bytes);
    out.add({cache.name, format_bytes(cache.bytes),
             fmt::format("{}{:.4f}", cache.measured || cache.expected_kld == 0 ? "" : "~",
                         cache.expected_kld),
             cache.fits ? in_all : paint.dim("✗ " + in_all),
             cache.largest_context ? format_count(cache.largest_context) : "none"});
  }
  fmt::print("\nThe KV cache of {} tokens by format, beside the file as it is\n",
             format_count(table.context));
  out.print(paint);
}

Json measured_cache_json(const MeasuredCache& measured) {
  Json caches = Json::array(), layers = Json::array();
  for (const auto& [formats, score] : measured.wholes)
    caches.push_back({{"kv", cache_label(formats)},
                      {"kld_mean", score.kld_mean},
                      {"kld_mean_error", score.kld_mean_error},
                      {"same_top", score.same_top},
                      {"scored_tokens", score.scored_tokens}});
  for (size_t l = 0; l < measured.losses.size(); ++l) {
    const LayerLoss& loss = measured.losses[l];
    layers.push_back({{"layer", l},
                      {"key_q8_0", loss.key[1]},
                      {"key_q4_0", loss.key[2]},
                      {"value_q8_0", loss.value[1]},
                      {"value_q4_0", loss.value[2]},
                      {"chosen", cache_name({&measured.chosen[l], 1})}});
  }
  return {{"caches", caches},
          {"layers", layers},
          {"chosen", cache_options(measured.chosen)},
          {"chosen_kld", cache_loss(measured.losses, measured.chosen)}};
}

void print_measured_cache(const MeasuredCache& measured, const Paint& paint) {
  Table layers({">layer", ">K q8_0", ">K q4_0", ">V q8_0", ">V q4_0", "chosen"});
  const auto text = [](double kld) { return fmt::format("{:.6f}", kld); };
  for (size_t l = 0; l < measured.losses.size(); ++l) {
    const LayerLoss& loss = measured.losses[l];
    layers.add({format_count(l), text(loss.key[1]), text(loss.key[2]), text(loss.value[1]),
                text(loss.value[2]), cache_name({&measured.chosen[l], 1})});
  }
  fmt::print("\nWhat formats of the KV cache cost, by layer: KL divergence from f16, in nats\n");
  layers.print(paint);
  fmt::print("\n{}: {:.4f} nats together\n  {}\n", paint.bold("least loss that fits"),
             cache_loss(measured.losses, measured.chosen), cache_options(measured.chosen));
  Table wholes({"KV cache", ">KLD", ">same first choice", ">tokens"});
  for (const auto& [formats, score] : measured.wholes)
    wholes.add({cache_label(formats),
                fmt::format("{:.5f} ± {:.5f}", score.kld_mean, score.kld_mean_error),
                fmt::format("{:.2f} %", 100 * score.same_top), format_count(score.scored_tokens)});
  fmt::print(
      "\nWhole caches; whatever changes, the rounding of activations to 8 bits adds a little\n");
  wholes.print(paint);
}

}  // namespace enxuto
