#include "plan/choices.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "plan/expectation.h"

namespace enxuto {
namespace {

constexpr uint32_t kFirstContext = 512;
constexpr uint32_t kBatches[] = {16, 512};  // beside the one that is wanted

std::vector<uint32_t> contexts_to_try(const HyperParameters& hyper, uint32_t wanted) {
  std::vector<uint32_t> contexts = {wanted};
  for (uint64_t c = kFirstContext; c < hyper.trained_context; c *= 2)
    contexts.push_back(static_cast<uint32_t>(c));
  if (hyper.trained_context) contexts.push_back(hyper.trained_context);
  std::ranges::sort(contexts);
  contexts.erase(std::unique(contexts.begin(), contexts.end()), contexts.end());
  return contexts;
}

std::vector<uint32_t> batches_to_try(const SessionLayout& layout) {
  std::vector<uint32_t> batches = {layout.batch};
  for (const uint32_t batch : kBatches) batches.push_back(std::max(batch, layout.sequences));
  std::ranges::sort(batches);
  batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
  return batches;
}

// An embedding that is not the head gives a row a token: it is not read whole.
uint64_t bytes_looked_up(const Model& model, const FormatMix& mix) {
  if (!reads_embedding_rows(model, false)) return 0;
  const Tensor& embedding = *model.token_embedding;
  const Codec& codec = *find_codec(type_in_mix(embedding, mix));
  return checked_mul(codec.row_bytes(embedding.columns()), embedding.rows()).value_or(0);
}

// Of a mixture, the experts that a token does not meet.
uint64_t bytes_not_met(const Model& model, const FormatMix& mix) {
  const HyperParameters& h = model.hyper;
  uint64_t bytes = 0;
  for (const LayerWeights& w : model.layers)
    for (const Tensor* t : {w.gate, w.up, w.down})
      if (w.router)
        bytes += find_codec(type_in_mix(*t, mix))->row_bytes(t->columns()) * t->shape[1] *
                 (h.n_experts - h.n_experts_used);
  return bytes;
}

// The cache that is wanted, and those that take fewer bytes, most bytes first.
Result<std::vector<CacheChoice>> caches_to_try(const Model& model, const ChoiceQuestion& question) {
  std::vector<CacheChoice> caches;
  const auto add = [&](const std::vector<KvFormat>& layers) -> Status {
    InferenceRequest request = question.request;
    request.kv = layers;
    ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(model, request));
    const bool known = std::ranges::count(caches, layers, &CacheChoice::layers) > 0;
    if (known || (!caches.empty() && layout.kv_bytes >= caches.front().bytes)) return {};
    const auto measured = std::ranges::find(question.measured, layers, &MeasuredLoss::layers);
    const bool is_measured = measured != question.measured.end();
    caches.push_back({cache_label(layers), layers, layout.kv_bytes,
                      is_measured ? measured->kld : expected_cache_kld(model, layers), is_measured,
                      0, false, 0});
    return {};
  };
  const uint32_t n_layers = model.hyper.n_layers;
  TRY(add(cache_of_layers(question.request.kv, n_layers)));
  for (const Type type : kCacheTypes)
    if (kv_row_bytes(type, model.hyper.key_dim) && kv_row_bytes(type, model.hyper.value_dim))
      TRY(add(std::vector<KvFormat>(n_layers, {type, type})));
  for (const MeasuredLoss& measured : question.measured) TRY(add(measured.layers));
  std::ranges::stable_sort(caches.begin() + 1, caches.end(), std::greater(), &CacheChoice::bytes);
  return caches;
}

// Sizes of the choices of one question. A mix changes the file and nothing else of the plan.
class Scales {
 public:
  Scales(const Model& model, const ChoiceQuestion& question, const ChoiceTable& table,
         uint64_t parameters, uint64_t as_is_bytes)
      : model_(model),
        question_(question),
        table_(table),
        parameters_(parameters),
        as_is_bytes_(as_is_bytes) {}

  Result<MixChoice> weigh(const FormatMix& mix) const {
    ASSIGN_OR_RETURN(const MixSize size, size_of_mix(model_, mix));
    MixChoice choice{};
    choice.mix = mix.name;
    choice.file_bytes = size.file_bytes;
    choice.mapped_bytes = size.file_bytes - bytes_looked_up(model_, mix);
    choice.bits_per_weight = size.bits_per_weight;
    choice.expected_kld = mix.type ? expected_kld(size.bits_per_weight, parameters_) : 0;
    TRY(add_speed(mix, size, choice));
    for (size_t cache = 0; cache < table_.caches.size(); ++cache)
      for (const uint32_t context : table_.contexts)
        for (const uint32_t batch : table_.batches) {
          ASSIGN_OR_RETURN(const uint64_t total,
                           total_bytes(choice.mapped_bytes, cache, context, batch));
          choice.combinations.push_back(
              {cache, context, batch, total, total <= question_.budget_bytes});
        }
    choice.largest_context = longest(choice.mapped_bytes, 0, table_.contexts.back(), table_.batch);
    return choice;
  }

  // What `cache` takes beside the model as it is.
  Status weigh_cache(size_t index, CacheChoice& cache) const {
    ASSIGN_OR_RETURN(cache.total_bytes,
                     total_bytes(as_is_bytes_, index, table_.context, table_.batch));
    cache.fits = cache.total_bytes <= question_.budget_bytes;
    cache.largest_context = longest(as_is_bytes_, index, table_.contexts.back(), table_.batch);
    return {};
  }

  // With so many bytes of a file mapped.
  Result<uint64_t> total_bytes(uint64_t mapped_bytes, size_t cache, uint32_t context,
                               uint32_t batch) const {
    ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(model_, request(cache, context, batch)));
    return map.total_bytes() - as_is_bytes_ + mapped_bytes;
  }

  // The longest context that fits with so many bytes of a file mapped, at most `most`.
  uint32_t longest(uint64_t mapped_bytes, size_t cache, uint32_t most, uint32_t batch) const {
    const OptionalSize budget = checked_add(question_.budget_bytes, as_is_bytes_);
    if (!budget || *budget <= mapped_bytes) return 0;
    return largest_context(model_, request(cache, most, batch), *budget - mapped_bytes);
  }

  uint64_t budget_bytes() const { return question_.budget_bytes; }
  // Caches that may be recommended: the first of the table's alone where the question named it.
  size_t n_caches() const { return question_.request.kv.empty() ? table_.caches.size() : 1; }

 private:
  InferenceRequest request(size_t cache, uint32_t context, uint32_t batch) const {
    InferenceRequest request = question_.request;
    request.context = context, request.batch = batch;
    request.kv = table_.caches[cache].layers;
    return request;
  }

  Status add_speed(const FormatMix& mix, const MixSize& size, MixChoice& choice) const {
    ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(model_, question_.request));
    const uint64_t looked_up = bytes_looked_up(model_, mix);
    const uint64_t read = size.weights_bytes - looked_up - bytes_not_met(model_, mix);
    choice.bytes_per_token = bytes_per_step(read, layout.kv_bytes);
    choice.expected_tokens_per_second =
        layout.sequences * expected_steps_per_second(choice.bytes_per_token, question_.bandwidth);
    return {};
  }

  const Model& model_;
  const ChoiceQuestion& question_;
  const ChoiceTable& table_;
  uint64_t parameters_, as_is_bytes_;
};

// A mix with a cache.
struct Pair {
  size_t mix, cache;
  double expected_kld;
};

// Least expected loss first.
std::vector<Pair> pairs_to_try(const ChoiceTable& table, size_t n_caches) {
  std::vector<Pair> pairs;
  for (size_t mix = 0; mix < table.mixes.size(); ++mix)
    for (size_t cache = 0; cache < n_caches; ++cache)
      pairs.push_back(
          {mix, cache, table.mixes[mix].expected_kld + table.caches[cache].expected_kld});
  std::ranges::stable_sort(pairs, {}, &Pair::expected_kld);
  return pairs;
}

std::string pair_name(const ChoiceTable& table, const Pair& pair) {
  const std::string& mix = table.mixes[pair.mix].mix;
  if (pair.cache == 0) return mix;
  return fmt::format("{}, KV cache {}", mix, table.caches[pair.cache].name);
}

std::string why_this(const ChoiceTable& table, const Recommendation& r, const std::string& better,
                     uint64_t better_bytes, uint64_t budget) {
  std::string why = better.empty()
                        ? std::string("the file as it is fits, and nothing is lost")
                        : fmt::format("the least expected loss of what fits {} with {} tokens",
                                      format_bytes(budget), format_count(r.context));
  if (table.sequences > 1) why += fmt::format(" for each of {} sequences", table.sequences);
  if (!better.empty())
    why += fmt::format("; {} would take {} more than allowed", better,
                       format_bytes(better_bytes - budget));
  if (r.batch != table.batch)
    why += fmt::format("; passes of {} tokens instead of {} make the room", r.batch, table.batch);
  if (r.context != table.context)
    why += fmt::format("; {} tokens of context fit with no mix", format_count(table.context));
  return why;
}

// The best expected quality that fits so many tokens in such passes.
std::optional<Recommendation> best_with(const Scales& scales, const ChoiceTable& table,
                                        uint32_t context, uint32_t batch) {
  uint64_t better_bytes = 0;
  std::string better;
  for (const Pair& pair : pairs_to_try(table, scales.n_caches())) {
    const MixChoice& mix = table.mixes[pair.mix];
    const Result<uint64_t> total = scales.total_bytes(mix.mapped_bytes, pair.cache, context, batch);
    if (!total.ok()) return {};
    if (*total <= scales.budget_bytes()) {
      Recommendation r{mix.mix, pair.cache, mix.file_bytes,    *total,
                       context, batch,      pair.expected_kld, {}};
      r.reason = why_this(table, r, better, better_bytes, scales.budget_bytes());
      return r;
    }
    better_bytes = *total, better = pair_name(table, pair);
  }
  return {};
}

// As wanted; else in shorter passes, which costs speed only; else with the longest context that the
// smallest mix and cache allow.
std::optional<Recommendation> recommend(const Scales& scales, const ChoiceTable& table) {
  const uint32_t shorter = std::min(table.batch, table.batches.front());
  for (const uint32_t batch : {table.batch, shorter})
    if (auto found = best_with(scales, table, table.context, batch)) return found;
  uint32_t context = 0;
  for (const MixChoice& mix : table.mixes)
    context = std::max(
        context, scales.longest(mix.mapped_bytes, scales.n_caches() - 1, table.context, shorter));
  if (context < std::min(kUsefulContext, table.context)) return {};
  return best_with(scales, table, context, shorter);
}

}  // namespace

Result<ChoiceTable> weigh_choices(const Model& model, const ChoiceQuestion& question) {
  ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(model, question.request));
  ASSIGN_OR_RETURN(const uint64_t parameters, count_parameters(model));
  ASSIGN_OR_RETURN(const uint64_t as_is_bytes, mapped_file_bytes(model));
  ChoiceTable table{layout.context, layout.batch, layout.sequences, {}, {}, {}, {}, {}};
  table.contexts = contexts_to_try(model.hyper, layout.context);
  table.batches = batches_to_try(layout);
  ASSIGN_OR_RETURN(table.caches, caches_to_try(model, question));
  const Scales scales(model, question, table, parameters, as_is_bytes);
  for (size_t i = 0; i < table.caches.size(); ++i) TRY(scales.weigh_cache(i, table.caches[i]));
  for (const FormatMix& mix : format_mixes()) {
    ASSIGN_OR_RETURN(MixChoice choice, scales.weigh(mix));
    if (table.mixes.empty() || choice.file_bytes < table.mixes.back().file_bytes)
      table.mixes.push_back(std::move(choice));
  }
  table.recommendation = recommend(scales, table);
  return table;
}

}  // namespace enxuto
