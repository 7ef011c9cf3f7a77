#include "plan/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/share.h"
#include "data/token_file.h"
#include "plan/compression_plan.h"
#include "plan/pieces.h"

namespace enxuto {
namespace {

constexpr uint64_t kF32 = 4, kMoments = 2;
// What OpenMPI takes of a process: measured 14 MB with 2 and 3 ranks on a machine.
constexpr uint64_t kRanksBytes = 16 << 20;
constexpr uint64_t kLossBytes = 32;        // of a token: its sum, its target, whether it counts
constexpr uint64_t kTaughtLossBytes = 32;  // against the teacher
// Of the session that writes samples.
constexpr uint32_t kSampleContext = 256, kSampleBatch = 64;

// What tensors take side by side, each on a cache line of its own.
class Sum {
 public:
  void add(OptionalSize bytes) { bytes_ = checked_add(bytes_, checked_align(bytes, kLine)); }
  OptionalSize bytes() const { return bytes_; }

 private:
  OptionalSize bytes_ = 0;
};

// Of the layer that has most to learn, or of a block of the head where that learns too.
OptionalSize gradient_bytes(const Model& model, const Adapter* adapter) {
  const HyperParameters& hyper = model.hyper;
  Sum head;
  if (!adapter) head.add(floats(std::min(hyper.vocabulary, kVocabularyBlock), hyper.width));
  OptionalSize most = head.bytes();
  for (const LayerWeights& layer : model.layers) {
    Sum sum;
    for (const Tensor* t : learned_of(layer, adapter)) sum.add(floats(t->rows(), t->columns()));
    if (!sum.bytes() || !most) return {};
    most = std::max(*most, *sum.bytes());
  }
  return most;
}

Result<uint64_t> checked(OptionalSize size) {
  if (size && *size <= kAbsurdBytes) return *size;
  return Status::does_not_fit("training this takes more bytes than can be counted",
                              "choose a shorter context or fewer sequences");
}

InferenceRequest session_request(const TrainingRequest& request, uint32_t context) {
  InferenceRequest inference;
  inference.context = std::min(context, kSampleContext);
  inference.batch = std::min(inference.context, kSampleBatch);
  inference.n_threads = request.n_threads;
  inference.tokenizer_bytes = request.tokenizer_bytes;
  return inference;
}

MemoryPart arena_part(const char* owner, uint64_t bytes, std::string why, const char* when) {
  return {owner, bytes, std::move(why), when, PartKind::kArena};
}

const char* moments_of(Optimizer optimizer) {
  switch (optimizer) {
    case Optimizer::kAdamW:
      return "AdamW, two moments in f32";
    case Optimizer::kAdamW8bit:
      return "AdamW, two moments of 8 bits, a scale for each 256";
    case Optimizer::kSgd:
      return "SGD, its momentum in f32";
    case Optimizer::kApollo:
      return "APOLLO, two moments in f32 of each row or column";
  }
  return "";
}

// Of n tokens: what a teacher names, and of all others together one more probability.
OptionalSize taught_bytes(uint64_t n_tokens, uint64_t top) {
  if (top == 0) return 0;
  const OptionalSize tokens = checked_mul(checked_mul(n_tokens, top), sizeof(int32_t));
  return checked_add(
      checked_add(checked_align(tokens, kLine), checked_align(floats(n_tokens, top + 1), kLine)),
      checked_align(checked_mul(n_tokens, kTaughtLossBytes), kLine));
}

// Of all layers and passes.
OptionalSize activation_bytes(const Model& model, const TrainingLayout& l) {
  const uint64_t pass_tokens = uint64_t{l.context} * l.pass_sequences;
  const uint64_t passes = (l.n_tokens + pass_tokens - 1) / pass_tokens;
  return checked_mul(checked_mul(passes, l.pass.kept_bytes()), model.hyper.n_layers);
}

uint64_t step_tokens(const TrainingLayout& l) { return uint64_t{l.context} * l.sequences; }

// Of the rank that remembers most.
OptionalSize largest_moments(const TrainingRequest& request, const Tensor& tensor) {
  const Optimizer optimizer = optimizer_of(request.optimizer, tensor);
  const uint64_t last = request.ranks - 1;  // its share is a largest one
  return optimizer_bytes(optimizer, remembered_rows(optimizer, tensor, last, request.ranks).size(),
                         tensor.columns());
}

// Of the layer whose matrices are largest, or a block of the vocabulary's.
OptionalSize gathered_bytes(const Model& model, Type matrices) {
  const auto bytes = [&](const Tensor* t, uint64_t rows) {
    return checked_mul(rows, find_codec(trained_type(*t, matrices))->row_bytes(t->columns()));
  };
  OptionalSize most = 0;
  const auto keep_larger = [&](const Sum& sum) {
    most = most && sum.bytes() ? OptionalSize(std::max(*most, *sum.bytes())) : std::nullopt;
  };
  for (const Tensor* t : {model.token_embedding, model.output}) {
    if (!t) continue;
    Sum block;
    block.add(bytes(t, std::min<uint64_t>(t->rows(), kVocabularyBlock)));
    keep_larger(block);
  }
  for (const LayerWeights& layer : model.layers) {
    Sum sum;
    for (const Tensor* t : shared_out_of(model, layer)) sum.add(bytes(t, t->rows()));
    keep_larger(sum);
  }
  return most;
}

// The weights that learn, and what the optimizer keeps of them.
Status add_learned(const Model& model, const TrainingRequest& request, TrainingLayout& l) {
  const Adapter* adapter = l.inference.adapter.get();
  Sum parameters, optimizer, averaged;
  for (const Tensor& tensor : adapter ? adapter->tensors : model.tensors) {
    const uint64_t rows = tensor.rows(), columns = tensor.columns();
    const Type type = adapter ? Type::F32 : trained_type(tensor, request.weights);
    const uint64_t own_rows = largest_share(rows, request.ranks);
    const bool shared = request.shares_parameters && is_shared_out(model, tensor);
    parameters.add(checked_mul(shared ? own_rows : rows, find_codec(type)->row_bytes(columns)));
    if (!learns(model, tensor)) continue;
    l.n_parameters += tensor.count();
    optimizer.add(largest_moments(request, tensor));
    if (request.averages) averaged.add(floats(own_rows, columns));
  }
  ASSIGN_OR_RETURN(l.parameters, checked(parameters.bytes()));
  ASSIGN_OR_RETURN(l.optimizer, checked(optimizer.bytes()));
  ASSIGN_OR_RETURN(l.averaged, checked(averaged.bytes()));
  ASSIGN_OR_RETURN(l.gradients, checked(gradient_bytes(model, adapter)));
  if (adapter) return {};
  if (request.shares_parameters) {
    ASSIGN_OR_RETURN(l.gathered, checked(gathered_bytes(model, request.weights)));
  }
  ASSIGN_OR_RETURN(l.embedded,
                   checked(floats(std::min(step_tokens(l), uint64_t{model.hyper.vocabulary}),
                                  model.hyper.width)));
  return {};
}

std::string of_own_rows(const std::string& what, const TrainingRequest& request) {
  return request.ranks == 1 ? what : fmt::format("{}, of 1 in {} rows", what, request.ranks);
}

std::string why_parameters(const TrainingLayout& l, const TrainingRequest& request) {
  const std::string weights =
      fmt::format("{} weights{}", format_count(l.n_parameters),
                  request.weights == Type::BF16 ? ", matrices in bf16" : ", f32");
  return request.shares_parameters ? of_own_rows(weights, request) : weights;
}

MemoryPart learned_part(const TrainingLayout& l, const TrainingRequest& request) {
  if (const Adapter* adapter = l.inference.adapter.get())
    return arena_part(
        owner::kAdapter, l.parameters,
        fmt::format("{} weights, rank {} beside {} matrices, f32", format_count(l.n_parameters),
                    adapter->most_rank(), adapter->pairs.size()),
        "always");
  return arena_part(owner::kParameters, l.parameters, why_parameters(l, request), "always");
}

// Whether the request can take less of the weights, which it then does.
bool spare_weights(TrainingRequest& request, uint64_t budget_bytes) {
  if (request.lora_rank)
    return std::exchange(request.streaming_bytes, budget_bytes) != budget_bytes;
  return request.ranks > 1 && !std::exchange(request.shares_parameters, true);
}

uint64_t total_bytes(const Model& model, const TrainingRequest& request) {
  const Result<MemoryMap> map = plan_training(model, request);
  return map.ok() ? map->total_bytes() : UINT64_MAX;
}

// What a changed request says on the command line.
std::string options_of(const TrainingRequest& changed, const TrainingRequest& from) {
  std::string options;
  if (changed.keeps_activations != from.keeps_activations) options += " no --keep-activations";
  if (changed.optimizer != from.optimizer)
    options += fmt::format(" --optimizer {}", optimizer_name(changed.optimizer));
  if (changed.sequences != from.sequences)
    options += fmt::format(" --batch-size {}", changed.sequences);
  if (changed.weights != from.weights) options += " --weights bf16";
  return options;
}

// What costs speed or a little precision only, before what costs more.
std::string what_would_fit(const Model& model, const TrainingRequest& from, uint64_t budget_bytes) {
  using Change = void (*)(TrainingRequest& request);
  const Change changes[] = {[](TrainingRequest& r) { r.keeps_activations = false; },
                            [](TrainingRequest& r) {
                              if (r.optimizer == Optimizer::kAdamW)
                                r.optimizer = Optimizer::kAdamW8bit;
                            },
                            [](TrainingRequest& r) { r.sequences = 1; },
                            [](TrainingRequest& r) {
                              if (!r.lora_rank) r.weights = Type::BF16;
                            },
                            [](TrainingRequest& r) { r.optimizer = Optimizer::kApollo; }};
  TrainingRequest request = from;
  std::string options;
  for (const Change change : changes) {
    change(request);
    if (options_of(request, from) == options) continue;
    options = options_of(request, from);
    const uint64_t bytes = total_bytes(model, request);
    if (bytes <= budget_bytes)
      return fmt::format("with{} it takes {}", options, format_bytes(bytes));
  }
  return fmt::format("choose a smaller model or a shorter --context; {}it would take {}",
                     options.empty() ? "" : fmt::format("with{} ", options),
                     format_bytes(total_bytes(model, request)));
}

// All but the session's.
MemoryMap training_parts(const Model& model, const TrainingRequest& request,
                         const TrainingLayout& l) {
  const char *always = "always", *step = "in each step";
  MemoryMap map{{
      learned_part(l, request),
      arena_part(owner::kOptimizer, l.optimizer,
                 of_own_rows(moments_of(request.optimizer), request), always),
      arena_part(owner::kGradients, l.gradients + l.embedded,
                 l.embedded ? "of one layer at a time, and of the embedding's rows in a step, f32"
                            : "of one layer's adapter at a time, f32",
                 step),
      arena_part(owner::kCheckpoints, l.checkpoints,
                 fmt::format("bf16 input of each of {} layers; {} tokens a step ({} x {})",
                             model.hyper.n_layers, format_count(l.n_tokens), l.n_tokens / l.context,
                             format_count(l.context)),
                 step),
      arena_part(owner::kHiddenStates, l.states + l.losses,
                 "between two layers, their gradients, and the loss of each token", step),
      arena_part(owner::kPass, l.pass.bytes,
                 fmt::format("{} tokens at once ({} x {}), f32", format_count(l.pass.n_tokens),
                             l.pass_sequences, format_count(l.context)),
                 step),
  }};
  if (l.gathered)
    map.parts.push_back(arena_part(owner::kGathered, l.gathered,
                                   "matrices of a layer, or of 4,096 tokens, from all ranks",
                                   step));
  if (request.averages)
    map.parts.push_back(arena_part(
        owner::kAveraged, l.averaged,
        of_own_rows("what the model will be: an average over the steps, f32", request), always));
  if (l.taught)
    map.parts.push_back(arena_part(owner::kTeacher, l.taught,
                                   fmt::format("the {} most probable next tokens after each of {}",
                                               request.teacher_top, format_count(l.n_tokens)),
                                   step));
  if (request.keeps_activations)
    map.parts.push_back(
        arena_part(owner::kKeptActivations, l.activations,
                   fmt::format("what {} layers compute on the way there, f32: not computed again",
                               model.hyper.n_layers),
                   step));
  map.parts.push_back({owner::kData, kKeptTokenBytes,
                       "pages of the token file that was read last, however large it is", step,
                       PartKind::kProcess});
  map.parts.push_back(dense_library_part(request.n_threads));
  if (request.ranks > 1)
    map.parts.push_back(
        {owner::kRanks, kRanksBytes,
         fmt::format("the library by which {} ranks speak (estimate)", request.ranks), always,
         PartKind::kProcess});
  return map;
}

}  // namespace

const char* optimizer_name(Optimizer optimizer) {
  switch (optimizer) {
    case Optimizer::kAdamW:
      return "adamw";
    case Optimizer::kAdamW8bit:
      return "adamw8";
    case Optimizer::kSgd:
      return "sgd";
    case Optimizer::kApollo:
      return "apollo";
  }
  return "";
}

OptionalSize optimizer_bytes(Optimizer optimizer, uint64_t rows, uint64_t columns) {
  const OptionalSize n = checked_mul(rows, columns);
  if (optimizer == Optimizer::kAdamW) return checked_mul(n, kMoments * kF32);
  if (optimizer == Optimizer::kSgd) return checked_mul(n, kF32);
  if (optimizer == Optimizer::kApollo)
    return checked_mul(
        checked_add(checked_mul(kMoments, std::max(rows, columns)), rows / kVocabularyBlock + 2),
        kF32);
  const uint64_t blocks = columns / kMomentBlock + (columns % kMomentBlock != 0);
  return checked_mul(kMoments, checked_add(checked_mul(checked_mul(rows, blocks), kF32), n));
}

Optimizer optimizer_of(Optimizer optimizer, const Tensor& tensor) {
  return optimizer == Optimizer::kApollo && tensor.n_dims == 1 ? Optimizer::kAdamW : optimizer;
}

Share remembered_rows(Optimizer optimizer, const Tensor& tensor, uint64_t rank, uint64_t ranks) {
  if (optimizer == Optimizer::kApollo) return {0, tensor.rows()};
  return share_of(tensor.rows(), rank, ranks);
}

bool learns(const Model& model, const Tensor& tensor) { return &tensor != model.rope_factors; }

std::vector<const Tensor*> learned_of(const LayerWeights& layer, const Adapter* adapter) {
  if (!adapter) return tensors_of(layer);
  std::vector<const Tensor*> all;
  for (const Tensor* w : matrices_of(layer))
    if (const LowRank* pair = adapter->find(*w)) all.insert(all.end(), {pair->a, pair->b});
  return all;
}

bool is_shared_out(const Model& model, const Tensor& tensor) {
  return tensor.n_dims > 1 && &tensor != model.position_embedding;
}

std::vector<const Tensor*> shared_out_of(const Model& model, const LayerWeights& layer) {
  std::vector<const Tensor*> all = tensors_of(layer);
  std::erase_if(all, [&](const Tensor* t) { return !is_shared_out(model, *t); });
  return all;
}

Type trained_type(const Tensor& tensor, Type matrices) {
  return tensor.n_dims > 1 ? matrices : Type::F32;
}

Result<TrainingLayout> lay_out_training(const Model& model, const TrainingRequest& request) {
  const HyperParameters& hyper = model.hyper;
  TrainingLayout l{};
  InferenceRequest inference;
  inference.context = request.context;
  ASSIGN_OR_RETURN(const SessionLayout session, lay_out_session(model, inference));
  l.context = session.context;
  l.sequences = std::max(request.sequences, 1u);
  l.pass_sequences = request.pass_sequences ? request.pass_sequences : kPassTokens / l.context;
  const auto own_sequences = static_cast<uint32_t>(largest_share(l.sequences, request.ranks));
  l.pass_sequences = std::clamp(l.pass_sequences, 1u, own_sequences);
  l.n_tokens = uint64_t{l.context} * own_sequences;
  const uint64_t pass_tokens = uint64_t{l.context} * l.pass_sequences;
  if (pass_tokens > UINT32_MAX) return checked({}).status();
  l.inference = session_request(request, l.context);

  if (request.lora_rank) l.inference.adapter = blank_adapter(model, request.lora_rank);
  TRY(add_learned(model, request, l));
  ASSIGN_OR_RETURN(
      l.checkpoints,
      checked(checked_mul(checked_align(checked_mul(l.n_tokens, hyper.width * 2), kLine),
                          hyper.n_layers)));
  ASSIGN_OR_RETURN(l.states,
                   checked(checked_mul(2, checked_align(floats(l.n_tokens, hyper.width), kLine))));
  ASSIGN_OR_RETURN(l.losses, checked(checked_mul(l.n_tokens, kLossBytes)));
  ASSIGN_OR_RETURN(l.taught, checked(taught_bytes(l.n_tokens, request.teacher_top)));
  ASSIGN_OR_RETURN(l.pass,
                   lay_out_gradients(model, static_cast<uint32_t>(pass_tokens), request.n_threads,
                                     request.lora_rank, request.rounds_products));
  if (request.keeps_activations) {
    ASSIGN_OR_RETURN(l.activations, checked(activation_bytes(model, l)));
  }
  if (request.streaming_bytes) {
    const uint64_t rest = training_parts(model, request, l).total_bytes();
    l.inference.memory_bytes = request.streaming_bytes > rest ? request.streaming_bytes - rest : 1;
  }
  return l;
}

Result<MemoryMap> plan_training(const Model& model, const TrainingRequest& request) {
  ASSIGN_OR_RETURN(const TrainingLayout l, lay_out_training(model, request));
  MemoryMap map = training_parts(model, request, l);
  ASSIGN_OR_RETURN(const MemoryMap session, plan_inference(model, l.inference));
  for (const MemoryPart& part : session.parts)
    if (request.lora_rank || part.kind != PartKind::kMapped) map.parts.push_back(part);
  return map;
}

Result<TrainingRequest> fit_training(const Model& model, TrainingRequest request,
                                     uint64_t budget_bytes) {
  ASSIGN_OR_RETURN(const TrainingLayout layout, lay_out_training(model, request));
  uint64_t least = 0;
  for (bool more = true; more; more = spare_weights(request, budget_bytes))
    for (request.pass_sequences = layout.pass_sequences;; request.pass_sequences /= 2) {
      ASSIGN_OR_RETURN(const MemoryMap map, plan_training(model, request));
      least = map.total_bytes();
      if (least <= budget_bytes) return request;
      if (request.pass_sequences == 1) break;
    }
  return Status::does_not_fit(
      fmt::format("training this needs {}, {} more than the {} allowed", format_bytes(least),
                  format_bytes(least - budget_bytes), format_bytes(budget_bytes)),
      what_would_fit(model, request, budget_bytes));
}

// Inputs of both norms, and of the linear layers behind them; q, k, v; what attention gives, and
// its normalizer for each head; gate, up and their product.
uint64_t kept_values_per_token(const HyperParameters& hyper, uint32_t layer) {
  const LayerWidths widths = hyper.widths(layer);
  const uint64_t heads = widths.n_heads, kv_heads = widths.n_kv_heads;
  const uint64_t inputs = (heads ? 4 : 2) * uint64_t{hyper.width};
  return inputs + heads * (uint64_t{hyper.key_dim} + hyper.value_dim + 1) +
         kv_heads * (uint64_t{hyper.key_dim} + hyper.value_dim) + 3 * uint64_t{widths.ffn_width};
}

}  // namespace enxuto
