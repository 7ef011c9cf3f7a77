#include "plan/choices.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "plan/expectation.h"

namespace enxuto {
namespace {

constexpr uint32_t kFirstContext = 512;
constexpr uint32_t kBatches[] = {16, 512};  // beside the one that is wanted
// Below this a context is worth no recommendation.
constexpr uint32_t kUsefulContext = 256;

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
uint64_t bytes_looked_up(const Model& model, const FormatMix& mix, const OutputHeader& header) {
  if (model.tied() || !model.token_embedding) return 0;
  const Tensor& embedding = *model.token_embedding;
  return output_tensor_bytes(embedding, type_in_mix(embedding, mix), header).value_or(0);
}

// Sizes of the choices of one question. A mix changes the file and nothing else of the plan.
class Scales {
 public:
  Scales(const Model& model, const ChoiceQuestion& question, uint64_t parameters, MixSize as_is)
      : model_(model), question_(question), parameters_(parameters), as_is_(as_is) {}

  Result<MixChoice> weigh(const FormatMix& mix, const ChoiceTable& table) const {
    ASSIGN_OR_RETURN(const MixSize size, size_of_mix(model_, mix));
    MixChoice choice{};
    choice.mix = mix.name;
    choice.file_bytes = size.file_bytes;
    choice.bits_per_weight = size.bits_per_weight;
    choice.expected_kld = mix.type ? expected_kld(size.bits_per_weight, parameters_) : 0;
    TRY(add_speed(mix, size, choice));
    for (const uint32_t context : table.contexts)
      for (const uint32_t batch : table.batches) {
        ASSIGN_OR_RETURN(const uint64_t total, total_bytes(size.file_bytes, context, batch));
        choice.combinations.push_back({context, batch, total, total <= question_.budget_bytes});
      }
    choice.largest_context = longest(size.file_bytes, table.contexts.back(), table.batch);
    return choice;
  }

  Result<uint64_t> total_bytes(uint64_t file_bytes, uint32_t context, uint32_t batch) const {
    InferenceRequest request = question_.request;
    request.context = context, request.batch = batch;
    ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(model_, request));
    return map.total_bytes() - as_is_.file_bytes + file_bytes;
  }

  // The longest context that fits with a file of so many bytes, at most `most`.
  uint32_t longest(uint64_t file_bytes, uint32_t most, uint32_t batch) const {
    const OptionalSize budget = checked_add(question_.budget_bytes, as_is_.file_bytes);
    if (!budget || *budget <= file_bytes) return 0;
    InferenceRequest request = question_.request;
    request.context = most, request.batch = batch;
    return largest_context(model_, request, *budget - file_bytes);
  }

 private:
  Status add_speed(const FormatMix& mix, const MixSize& size, MixChoice& choice) const {
    ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(model_, question_.request));
    const uint64_t looked_up = bytes_looked_up(model_, mix, output_header(model_));
    choice.bytes_per_token = bytes_per_step(size.weights_bytes - looked_up, layout.kv_bytes);
    choice.expected_tokens_per_second =
        layout.sequences * expected_steps_per_second(choice.bytes_per_token, question_.bandwidth);
    return {};
  }

  const Model& model_;
  const ChoiceQuestion& question_;
  uint64_t parameters_;
  MixSize as_is_;
};

std::string why_this(const ChoiceTable& table, size_t chosen, const Recommendation& r,
                     uint64_t better_total, uint64_t budget) {
  std::string why = chosen == 0
                        ? std::string("the file as it is fits, and nothing is lost")
                        : fmt::format("the least expected loss of what fits {} with {} tokens",
                                      format_bytes(budget), format_count(r.context));
  if (table.sequences > 1) why += fmt::format(" for each of {} sequences", table.sequences);
  if (chosen > 0)
    why += fmt::format("; {} would take {} more than allowed", table.mixes[chosen - 1].mix,
                       format_bytes(better_total - budget));
  if (r.batch != table.batch)
    why += fmt::format("; passes of {} tokens instead of {} make the room", r.batch, table.batch);
  if (r.context != table.context)
    why += fmt::format("; {} tokens of context fit with no mix", format_count(table.context));
  return why;
}

// The first mix (the best expected quality) that fits so many tokens in such passes.
std::optional<Recommendation> best_with(const Scales& scales, const ChoiceTable& table,
                                        uint32_t context, uint32_t batch, uint64_t budget) {
  uint64_t better_total = 0;
  for (size_t i = 0; i < table.mixes.size(); ++i) {
    const MixChoice& mix = table.mixes[i];
    const Result<uint64_t> total = scales.total_bytes(mix.file_bytes, context, batch);
    if (!total.ok()) return {};
    if (*total <= budget) {
      Recommendation r{mix.mix, mix.file_bytes, *total, context, batch, mix.expected_kld, {}};
      r.reason = why_this(table, i, r, better_total, budget);
      return r;
    }
    better_total = *total;
  }
  return {};
}

// As wanted; else in shorter passes, which costs speed only; else with the longest context that the
// smallest mix allows.
std::optional<Recommendation> recommend(const Scales& scales, const ChoiceTable& table,
                                        uint64_t budget) {
  const uint32_t shorter = std::min(table.batch, table.batches.front());
  for (const uint32_t batch : {table.batch, shorter})
    if (auto found = best_with(scales, table, table.context, batch, budget)) return found;
  uint32_t context = 0;
  for (const MixChoice& mix : table.mixes)
    context = std::max(context, scales.longest(mix.file_bytes, table.context, shorter));
  if (context < std::min(kUsefulContext, table.context)) return {};
  return best_with(scales, table, context, shorter, budget);
}

}  // namespace

Result<ChoiceTable> weigh_choices(const Model& model, const ChoiceQuestion& question) {
  ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(model, question.request));
  ASSIGN_OR_RETURN(const uint64_t parameters, count_parameters(model));
  ASSIGN_OR_RETURN(const uint64_t as_is_bytes, mapped_file_bytes(model));
  ChoiceTable table{layout.context, layout.batch, layout.sequences, {}, {}, {}, {}};
  table.contexts = contexts_to_try(model.hyper, layout.context);
  table.batches = batches_to_try(layout);
  const Scales scales(model, question, parameters, {0, as_is_bytes, 0});
  for (const FormatMix& mix : format_mixes()) {
    ASSIGN_OR_RETURN(MixChoice choice, scales.weigh(mix, table));
    if (table.mixes.empty() || choice.file_bytes < table.mixes.back().file_bytes)
      table.mixes.push_back(std::move(choice));
  }
  table.recommendation = recommend(scales, table, question.budget_bytes);
  return table;
}

}  // namespace enxuto
