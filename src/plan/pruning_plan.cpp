#include "plan/pruning_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "plan/format_mix.h"
#include "plan/output_size.h"
#include "plan/pieces.h"

namespace enxuto {
namespace {

constexpr uint32_t kFitTokens = 512, kBatch = 256, kProbeTokens = 128, kLogitRows = 16;
constexpr uint64_t kLargeModel = 500'000'000;  // parameters
constexpr uint64_t kTile = 128;                // rows that products work on at once
// Measured: of a text and its tokens, while they are made; of the tables that choose among tokens.
constexpr uint64_t kBytesOfText = 6, kBytesOfToken = 400;
constexpr uint64_t kOutputBytes = 1 << 20;  // that a file gathers before they are written
constexpr uint64_t kFloat = sizeof(float), kBlock = 4096;
// Effort: fast, normal, best.
constexpr uint32_t kFitChunks[] = {12, 24, 96}, kLargeFitChunks[] = {6, 12, 48};
constexpr uint32_t kProbeChunks[] = {2, 2, 6}, kLargeProbeChunks[] = {1, 1, 3};

CalibrationShape shape_for(const Model& model, Effort effort) {
  const uint32_t most = model.hyper.trained_context;
  const Result<uint64_t> parameters = count_parameters(model);
  const bool large = parameters.ok() && *parameters > kLargeModel;
  const auto e = static_cast<size_t>(effort);
  return {std::min(kFitTokens, most), large ? kLargeFitChunks[e] : kFitChunks[e],
          std::min(kProbeTokens, most), large ? kLargeProbeChunks[e] : kProbeChunks[e]};
}

OptionalSize larger(OptionalSize a, OptionalSize b) {
  return !a || !b ? std::nullopt : OptionalSize(std::max(*a, *b));
}

// What one of a layer's matrices takes while its columns go: second moments, values, scratch.
OptionalSize removal_bytes(const Tensor* matrix, uint64_t unit) {
  if (!matrix) return 0;
  const uint64_t columns = matrix->columns(), rows = matrix->rows();
  const OptionalSize values = checked_align(checked_mul(checked_mul(rows, columns), kFloat), kLine);
  const OptionalSize tokens = checked_mul(columns, kBatch * kFloat);  // of one pass
  return checked_add(covariance_bytes(columns, removal_block(columns, unit)),
                     checked_add(values, tokens));
}

class Sizes {
 public:
  Sizes(const Model& model, const CompressionPlan& plan) : model_(model), plan_(plan) {}

  OptionalSize fit_states() const {
    const auto& shape = plan_.shape;
    return checked_mul(plan_.states_on_disk ? 1 : shape.fit_chunks,
                       state_bytes(model_.hyper, shape.fit_tokens));
  }
  OptionalSize probe_states(uint64_t count) const {
    const auto& shape = plan_.shape;
    return checked_mul(
        plan_.states_on_disk ? 1 : count,
        state_bytes(model_.hyper, uint64_t{shape.probe_tokens} * shape.probe_chunks));
  }
  OptionalSize logits() const {
    return checked_align(checked_mul(uint64_t{kLogitRows} * kFloat, model_.hyper.vocabulary),
                         kLine);
  }
  // Attention and FFN of the layer that needs most.
  OptionalSize removal() const {
    OptionalSize most = 0;
    for (uint32_t l = 0; l < model_.layers.size(); ++l) {
      const LayerWeights& w = model_.layers[l];
      OptionalSize scratch = 0;
      const uint64_t unit = head_group(model_, l);
      if (w.attn_output)
        scratch = removal_scratch(w.attn_output->rows(), w.attn_output->columns(), unit);
      if (w.down) scratch = larger(scratch, removal_scratch(w.down->rows(), w.down->columns(), 1));
      most = larger(most, checked_add(checked_add(removal_bytes(w.attn_output, unit),
                                                  removal_bytes(w.down, 1)),
                                      checked_align(checked_mul(scratch, kFloat), kLine)));
    }
    return most;
  }
  // Moments of what is missing after an FFN and its input; inputs and differences of a pass.
  OptionalSize comparison() const {
    OptionalSize most = 0;
    for (const LayerWeights& w : model_.layers)
      if (w.down)
        most = larger(
            most,
            floats(1, checked_add(
                          w.down->count(),
                          kBatch * checked_add(w.down->columns(), w.down->rows()).value_or(0))));
    return checked_align(most, kBlock);
  }
  // Of the layer that needs most: second moments and values, scratch, and the tokens of one pass
  // that are seen.
  OptionalSize masking() const {
    OptionalSize layer = 0, scratch = 0, tokens = 0;
    for (const LayerWeights& w : model_.layers) {
      const auto floats = masking_floats(w);
      if (!floats) return std::nullopt;
      layer = larger(layer, checked_mul(floats->layer, kFloat));
      scratch = larger(scratch, checked_mul(floats->scratch, kFloat));
      OptionalSize inputs = 0;
      for (const Tensor* t : inputs_of(w)) inputs = checked_add(inputs, t->columns());
      tokens = larger(tokens, checked_mul(inputs, kBatch * kFloat));
    }
    return checked_add(checked_add(checked_align(layer, kLine), checked_align(scratch, kLine)),
                       tokens);
  }
  OptionalSize read_buffer() const {
    OptionalSize piece = 0;
    for (const Tensor& tensor : model_.tensors)
      piece = larger(piece, checked_mul(rows_at_once(model_, tensor), tensor.row_bytes()));
    return checked_add(checked_align(piece, kBlock), kBlock);
  }
  // On the disk.
  OptionalSize state_files(uint64_t probes) const {
    if (!plan_.states_on_disk) return 0;
    const auto& shape = plan_.shape;
    return checked_add(
        checked_mul(2 * shape.fit_chunks, state_bytes(model_.hyper, shape.fit_tokens)),
        checked_mul(probes,
                    state_bytes(model_.hyper, uint64_t{shape.probe_tokens} * shape.probe_chunks)));
  }

 private:
  const Model& model_;
  const CompressionPlan& plan_;
};

struct Stage {
  const char* name;
  OptionalSize bytes;
  std::string why;
};

Result<CompressionPlan> plan_mode(const Model& model, const PruningRequest& request, bool streams,
                                  bool on_disk) {
  CompressionPlan plan;
  plan.shape = shape_for(model, request.effort);
  plan.streams = streams, plan.states_on_disk = on_disk;
  const Sizes sizes(model, plan);
  const uint64_t n_layers = model.layers.size();
  const uint64_t parts = kProbesOfLayer * n_layers + 1, blocks = n_layers + 2;
  const auto add = [](OptionalSize a, OptionalSize b) { return checked_add(a, b); };
  std::vector<Stage> stages = {{"opening", OptionalSize(kLine), "nothing large"}};
  const std::string texts = fmt::format("{} x {} tokens{}", plan.shape.fit_chunks,
                                        plan.shape.fit_tokens, on_disk ? ", in a file" : "");
  if (request.probes_parts)
    stages.push_back(
        {"probing",
         add(add(sizes.fit_states(), sizes.removal()),
             add(sizes.probe_states(parts), sizes.logits())),
         fmt::format("{}, {} pruned copies of {} x {} held-out tokens, second moments "
                     "of a layer",
                     texts, parts - 1, plan.shape.probe_chunks, plan.shape.probe_tokens)});
  if (request.probes_blocks)
    stages.push_back({"probing", add(sizes.probe_states(blocks), sizes.logits()),
                      fmt::format("{} copies of {} x {} held-out tokens", blocks,
                                  plan.shape.probe_chunks, plan.shape.probe_tokens)});
  if (request.fits_columns)
    stages.push_back(
        {"pruning",
         add(add(checked_mul(2, sizes.fit_states()), sizes.removal()),
             add(add(sizes.probe_states(2), sizes.logits()), sizes.comparison())),
         texts + " in the pruned and the whole model, second moments and matrices of a layer"});
  if (request.masks_weights)
    stages.push_back(
        {"pruning",
         add(add(sizes.fit_states(), sizes.masking()), add(sizes.probe_states(2), sizes.logits())),
         texts + ", second moments and matrices of a layer"});
  if (request.chooses_experts)
    stages.push_back(
        {"pruning", add(sizes.fit_states(), add(sizes.probe_states(2), sizes.logits())), texts});
  bool absurd = false;
  const auto known = [&](OptionalSize bytes) {
    absurd |= !bytes || *bytes > kAbsurdBytes;
    return bytes.value_or(0);
  };
  const Stage* largest = &stages.front();
  for (const Stage& stage : stages)
    if (known(stage.bytes) > largest->bytes.value_or(0)) largest = &stage;
  std::vector<MemoryPart>& own = plan.stages.parts;
  if (streams)
    own.push_back({owner::kReadBuffer, known(sizes.read_buffer()), "rows of a tensor on their way",
                   "always", PartKind::kArena});
  plan.disk_bytes = known(sizes.state_files(request.probes_parts    ? parts
                                            : request.probes_blocks ? blocks
                                                                    : 2));
  own.push_back({owner::kWorking, known(largest->bytes),
                 fmt::format("most of all {}: {}", largest->name, largest->why), largest->name,
                 PartKind::kArena});
  if (absurd) return Status::bad_input("the model's tensors claim more bytes than can be counted");

  plan.inference.context = plan.shape.fit_tokens;
  plan.inference.whole_embedding = true;
  plan.inference.batch = std::min(kBatch, plan.shape.fit_tokens);
  plan.inference.logit_rows = kLogitRows;
  plan.inference.n_threads = request.n_threads;
  plan.inference.tokenizer_bytes = request.tokenizer_bytes;
  const MemoryPart library = dense_library_part(request.n_threads);
  const MemoryPart output = {owner::kOutput, kOutputBytes + output_header(model).bytes,
                             "the file's header, and what is gathered before it is written",
                             "pruning", PartKind::kProcess};
  if (streams) {
    const uint64_t taken = plan.stages.total_bytes() + library.bytes + output.bytes;
    plan.inference.memory_bytes = request.memory_bytes > taken ? request.memory_bytes - taken : 1;
  }
  plan.inference.batch = request.text_bytes ? 1 : plan.inference.batch;
  ASSIGN_OR_RETURN(plan.map, plan_inference(model, plan.inference));
  if (request.text_bytes)
    plan.map.parts.push_back(
        {owner::kTokenCounts,
         request.text_bytes * kBytesOfText + model.hyper.vocabulary * kBytesOfToken,
         "the text's tokens, and what is known of each token (estimate)", "choosing tokens",
         PartKind::kProcess});
  plan.map.parts.insert(plan.map.parts.end(), own.begin(), own.end());
  plan.map.parts.push_back(library);
  plan.map.parts.push_back(output);
  return plan;
}

}  // namespace

uint64_t head_group(const Model& model, uint32_t layer) {
  const LayerWidths widths = model.hyper.widths(layer);
  return widths.n_kv_heads ? uint64_t{widths.n_heads} / widths.n_kv_heads * model.hyper.value_dim
                           : 1;
}

uint64_t removal_block(uint64_t columns, uint64_t unit) {
  return covariance_block(columns) % unit == 0 ? kCovarianceColumns : columns;
}

uint64_t columns_at_once(uint64_t columns) { return std::max<uint64_t>(8, columns / 256); }

OptionalSize removal_scratch(uint64_t rows, uint64_t columns, uint64_t unit) {
  const uint64_t block = covariance_block(columns, removal_block(columns, unit));
  const uint64_t at_once = std::max(unit, columns_at_once(columns));
  return checked_add(larger(checked_mul(block, block),
                            checked_mul(at_once, checked_add(checked_mul(2, block), rows))),
                     checked_mul(kTile, block));
}

std::optional<MaskingFloats> masking_floats(const LayerWeights& w) {
  OptionalSize layer = 0, scratch = 0;
  const auto add = [&](OptionalSize floats) {
    layer = checked_add(layer, checked_align(floats, kLine / kFloat));
  };
  for (const Tensor* t : inputs_of(w)) {
    const OptionalSize covariance = covariance_bytes(t->columns());
    add(covariance ? OptionalSize(*covariance / kFloat) : std::nullopt);
    scratch = larger(scratch, checked_mul(kTile, covariance_block(t->columns())));
  }
  for (const Tensor* t : matrices_of(w)) {
    add(t->count());
    scratch = larger(scratch, checked_mul(2 * kTile, t->rows()));  // scores and errors
  }
  if (!layer || !scratch) return std::nullopt;
  return MaskingFloats{*layer, *scratch};
}

Result<CompressionPlan> plan_pruning(const Model& model, const PruningRequest& request) {
  ASSIGN_OR_RETURN(CompressionPlan plan, plan_mode(model, request, false, false));
  if (request.memory_bytes == 0) return plan;
  for (const bool on_disk : {false, true}) {
    if (plan.map.total_bytes() <= request.memory_bytes) break;
    ASSIGN_OR_RETURN(CompressionPlan smaller, plan_mode(model, request, true, on_disk));
    if (smaller.map.total_bytes() < plan.map.total_bytes()) plan = std::move(smaller);
  }
  return plan;
}

}  // namespace enxuto
