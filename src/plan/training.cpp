#include "plan/training.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/checked.h"
#include "plan/format_mix.h"
#include "plan/plan.h"

namespace enxuto {
namespace {

constexpr uint64_t kF32 = 4, kBf16 = 2;
// 8-bit AdamW: two moments of a byte each, and a scale for every block of them.
constexpr uint64_t kMoments = 2, kBlock = 256;
constexpr uint64_t kLossTokens = 128;  // whose logits are alive at once
constexpr uint64_t kAbsurdBytes = uint64_t{1} << 56;

OptionalSize optimizer_bytes(uint64_t n_parameters, Optimizer optimizer) {
  if (optimizer == Optimizer::kAdamW) return checked_mul(n_parameters, kMoments * kF32);
  const uint64_t blocks = n_parameters / kBlock + (n_parameters % kBlock != 0);
  return checked_mul(kMoments, checked_add(n_parameters, checked_mul(blocks, kF32)));
}

uint32_t blocks_alive(const HyperParameters& hyper, const TrainingRequest& request) {
  const uint32_t every = request.checkpoint_every ? request.checkpoint_every : hyper.n_layers;
  return std::min(std::max(every, 1u), hyper.n_layers);
}

OptionalSize checkpoint_bytes(const HyperParameters& hyper, const TrainingRequest& request,
                              OptionalSize n_tokens) {
  if (request.checkpoint_every == 0) return 0;
  const uint64_t n =
      (uint64_t{hyper.n_layers} + request.checkpoint_every - 1) / request.checkpoint_every;
  return checked_mul(checked_mul(n, n_tokens), hyper.width * kBf16);
}

const char* name_of(Optimizer optimizer) {
  return optimizer == Optimizer::kAdamW ? "AdamW, two moments in f32"
                                        : "AdamW, two moments of 8 bits, a scale for each 256";
}

// Of a token: of the block that keeps most, and of those between two checkpoints that do.
struct KeptValues {
  uint64_t of_one = 0, of_alive = 0;
};

KeptValues most_kept(const HyperParameters& hyper, const TrainingRequest& request) {
  KeptValues most;
  uint64_t alive = 0;
  for (uint32_t l = 0; l < hyper.n_layers; ++l) {
    if (l % blocks_alive(hyper, request) == 0) alive = 0;
    const uint64_t kept = kept_values_per_token(hyper, l);
    alive += kept;
    most.of_one = std::max(most.of_one, kept);
    most.of_alive = std::max(most.of_alive, alive);
  }
  return most;
}

std::string why_activations(const HyperParameters& hyper, const TrainingRequest& request) {
  const uint32_t alive = blocks_alive(hyper, request);
  return fmt::format("{} of {} blocks alive at once and the gradients of one, {}{} values a token",
                     alive, hyper.n_layers, hyper.uneven.empty() ? "" : "up to ",
                     format_count(most_kept(hyper, request).of_one));
}

Result<uint64_t> process_bytes(const Model& model, const TrainingRequest& request) {
  InferenceRequest inference;
  inference.n_threads = request.n_threads, inference.tokenizer_bytes = request.tokenizer_bytes;
  ASSIGN_OR_RETURN(const MemoryMap map, plan_inference(model, inference));
  return map.find(owner::kVocabulary)->bytes + map.find(owner::kProcess)->bytes;
}

}  // namespace

// Inputs of both norms, and of the linear layers behind them; q, k, v; what attention gives, and
// its normalizer for each head; gate, up and their product.
uint64_t kept_values_per_token(const HyperParameters& hyper, uint32_t layer) {
  const LayerWidths widths = hyper.widths(layer);
  const uint64_t heads = widths.n_heads, kv_heads = widths.n_kv_heads;
  const uint64_t inputs = (heads ? 4 : 2) * uint64_t{hyper.width};
  return inputs + heads * (uint64_t{hyper.key_dim} + hyper.value_dim + 1) +
         kv_heads * (uint64_t{hyper.key_dim} + hyper.value_dim) + 3 * uint64_t{widths.ffn_width};
}

Result<TrainingSizes> size_training(const Model& model, const TrainingRequest& request) {
  const HyperParameters& hyper = model.hyper;
  InferenceRequest inference;
  inference.context = request.context;
  ASSIGN_OR_RETURN(const SessionLayout layout, lay_out_session(model, inference));
  ASSIGN_OR_RETURN(const uint64_t n, count_parameters(model));
  const uint64_t tokens = uint64_t{layout.context} * std::max(request.sequences, 1u);
  const KeptValues kept = most_kept(hyper, request);
  const OptionalSize sizes[] = {
      checked_mul(n, kF32),
      checked_mul(n, kF32),
      optimizer_bytes(n, request.optimizer),
      checkpoint_bytes(hyper, request, tokens),
      checked_mul(checked_mul(tokens, kept.of_alive + kept.of_one), kF32),
      checked_mul(checked_mul(std::min(tokens, kLossTokens), hyper.vocabulary), 2 * kF32),
  };
  for (const OptionalSize& size : sizes)
    if (!size || *size > kAbsurdBytes)
      return Status::does_not_fit("training this takes more bytes than can be counted",
                                  "choose a shorter context or fewer sequences");
  return TrainingSizes{n, tokens, *sizes[0], *sizes[1], *sizes[2], *sizes[3], *sizes[4], *sizes[5]};
}

Result<MemoryMap> plan_training(const Model& model, const TrainingRequest& request) {
  ASSIGN_OR_RETURN(const TrainingSizes s, size_training(model, request));
  ASSIGN_OR_RETURN(const uint64_t process, process_bytes(model, request));
  const std::string n = format_count(s.n_parameters);
  const std::string tokens = fmt::format(
      "{} tokens a step ({} x {})", format_count(s.n_tokens), std::max(request.sequences, 1u),
      format_count(s.n_tokens / std::max(request.sequences, 1u)));
  const char *always = "always", *step = "in each step";
  return MemoryMap{{
      {owner::kParameters, s.parameters, n + " weights, f32", always, PartKind::kArena},
      {owner::kGradients, s.gradients, "one for each weight, f32", step, PartKind::kArena},
      {owner::kOptimizer, s.optimizer, name_of(request.optimizer), always, PartKind::kArena},
      {owner::kCheckpoints, s.checkpoints,
       request.checkpoint_every
           ? fmt::format("bf16 input of every {} of {} blocks; {}", request.checkpoint_every,
                         model.hyper.n_layers, tokens)
           : "none: all activations are kept",
       step, PartKind::kArena},
      {owner::kScratch, s.activations, why_activations(model.hyper, request), step,
       PartKind::kArena},
      {owner::kLogits, s.logits,
       fmt::format("of {} tokens at once, and their gradients, f32",
                   std::min(s.n_tokens, kLossTokens)),
       step, PartKind::kArena},
      {owner::kProcess, process, "program, tokenizer and stacks (estimate)", always,
       PartKind::kProcess},
  }};
}

}  // namespace enxuto
