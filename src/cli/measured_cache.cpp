#include "cli/measured_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/budget.h"
#include "cli/progress_bar.h"
#include "cli/terminal_text.h"
#include "compress/calibration_text.h"
#include "plan/goal.h"

namespace enxuto {
namespace {

constexpr double kMostSeconds = 60;  // after which no further chunk is begun
constexpr uint32_t kMostChunks = 4;

// A meter, what it reads, and what it found of the layers.
struct Weighing {
  std::vector<std::vector<Token>> chunks;
  std::unique_ptr<CacheMeter> meter;
  std::vector<LayerLoss> losses;
};

Result<Weighing> weigh(std::shared_ptr<const Model> model, int n_threads, uint64_t budget) {
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(model->metadata));
  ASSIGN_OR_RETURN(const auto cut, cut_calibration_text(*tokenizer, builtin_calibration_text(),
                                                        {kCacheChunkTokens, kMostChunks, 1, 1}));
  Weighing weighing{cut.fit, nullptr, {}};
  ASSIGN_OR_RETURN(weighing.meter, CacheMeter::open(model, n_threads, budget));
  ProgressBar progress;
  ASSIGN_OR_RETURN(weighing.losses,
                   weighing.meter->weigh_layers(cut.fit.front(), progress.callback()));
  return weighing;
}

}  // namespace

Result<MeasuredCache> measure_cache(std::shared_ptr<const Model> model,
                                    const CommonOptions& options, const InferenceRequest& request) {
  const uint64_t budget = memory_budget(options).bytes;
  ASSIGN_OR_RETURN(const Weighing weighing, weigh(model, options.threads(), budget));
  MeasuredCache measured;
  measured.losses = weighing.losses;
  const CacheParts parts = options.automatic.any() ? options.automatic : CacheParts{true, true};
  measured.chosen = choose_cache(*model, request, parts, measured.losses, budget);
  std::vector<std::vector<KvFormat>> caches;
  for (const Type type : {Type::Q8_0, Type::Q4_0})
    caches.emplace_back(model->hyper.n_layers, KvFormat{type, type});
  if (!is_uniform(measured.chosen)) caches.push_back(measured.chosen);
  ProgressBar progress;
  ASSIGN_OR_RETURN(const auto scores, weighing.meter->compare(caches, weighing.chunks, kMostSeconds,
                                                              progress.callback()));
  for (size_t i = 0; i < caches.size(); ++i) measured.wholes.push_back({caches[i], scores[i]});
  return measured;
}

Status settle_cache(std::shared_ptr<const Model> model, const CommonOptions& options,
                    InferenceRequest& request) {
  if (!options.automatic.any()) return {};
  const uint64_t budget = memory_budget(options).bytes;
  InferenceRequest resident = request;
  resident.memory_bytes = 0;
  if (fits(*model, resident, budget)) return {};
  ASSIGN_OR_RETURN(const Weighing weighing, weigh(model, options.threads(), budget));
  request.kv = choose_cache(*model, request, options.automatic, weighing.losses, budget);
  print_note(fmt::format("the KV cache is kept by {}: {:.4f} nats of loss expected",
                         cache_options(request.kv), cache_loss(weighing.losses, request.kv)));
  return {};
}

}  // namespace enxuto
