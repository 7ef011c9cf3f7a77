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

Result<std::vector<std::vector<Token>>> chunks_to_read(const Model& model) {
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::create(model.metadata));
  ASSIGN_OR_RETURN(const auto chunks, cut_calibration_text(*tokenizer, builtin_calibration_text(),
                                                           {kCacheChunkTokens, kMostChunks, 1, 1}));
  return chunks.fit;
}

Result<std::vector<LayerLoss>> weigh(CacheMeter& meter,
                                     const std::vector<std::vector<Token>>& chunks) {
  ProgressBar progress;
  return meter.weigh_layers(chunks.front(), progress.callback());
}

Result<std::vector<CacheScore>> compare(CacheMeter& meter,
                                        const std::vector<std::vector<Token>>& chunks,
                                        const std::vector<std::vector<KvFormat>>& caches) {
  ProgressBar progress;
  return meter.compare(caches, chunks, kMostSeconds, progress.callback());
}

}  // namespace

Result<MeasuredCache> measure_cache(std::shared_ptr<const Model> model,
                                    const CommonOptions& options, const InferenceRequest& request) {
  const uint64_t budget = memory_budget(options).bytes;
  ASSIGN_OR_RETURN(const auto chunks, chunks_to_read(*model));
  ASSIGN_OR_RETURN(const auto meter, CacheMeter::open(model, options.threads(), budget));
  MeasuredCache measured;
  ASSIGN_OR_RETURN(measured.losses, weigh(*meter, chunks));
  const CacheParts parts = options.automatic.any() ? options.automatic : CacheParts{true, true};
  measured.chosen = choose_cache(*model, request, parts, measured.losses, budget);
  std::vector<std::vector<KvFormat>> caches;
  for (const Type type : {Type::Q8_0, Type::Q4_0})
    caches.emplace_back(model->hyper.n_layers, KvFormat{type, type});
  if (std::ranges::count(measured.chosen, measured.chosen.front()) < std::ssize(measured.chosen))
    caches.push_back(measured.chosen);
  ASSIGN_OR_RETURN(const auto scores, compare(*meter, chunks, caches));
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
  ASSIGN_OR_RETURN(const auto chunks, chunks_to_read(*model));
  ASSIGN_OR_RETURN(const auto meter, CacheMeter::open(model, options.threads(), budget));
  ASSIGN_OR_RETURN(const auto losses, weigh(*meter, chunks));
  request.kv = choose_cache(*model, request, options.automatic, losses, budget);
  print_note(fmt::format("the KV cache is kept by {}: {:.4f} nats of loss expected",
                         cache_options(request.kv), cache_loss(losses, request.kv)));
  return {};
}

}  // namespace enxuto
