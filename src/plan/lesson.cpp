#include "plan/lesson.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "plan/format_mix.h"
#include "plan/training.h"

namespace enxuto {
namespace {

struct Facts {
  const Model& model;
  const HyperParameters& hyper;
  SessionLayout layout;
  MemoryMap map;
  uint64_t parameters;
  uint64_t bytes_of(const char* part) const { return map.find(part)->bytes; }
};

double share(uint64_t part, uint64_t whole) {
  return whole ? 100 * static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string titled(const char* what, uint64_t bytes) {
  return fmt::format("{}: {}", what, format_bytes(bytes));
}

Lesson about_weights(const Facts& f) {
  const uint64_t bytes = f.bytes_of(owner::kWeights);
  const double bits = share(8 * bytes, f.parameters) / 100;
  return {titled("Weights", bytes),
          fmt::format(
              "The model is {} numbers, the weights, which training has found. Its file "
              "spends {:.2f} bits on each. Writing one token reads {} once, so "
              "fewer bits a weight save memory and time alike; what they cost is precision. "
              "At 4.5 bits, these weights would take {}.",
              format_count(f.parameters), bits,
              f.hyper.n_experts == 0 ? "all of them"
                                     : fmt::format("those of {} in {} experts, and all others,",
                                                   f.hyper.n_experts_used, f.hyper.n_experts),
              format_bytes(static_cast<uint64_t>(static_cast<double>(f.parameters) * 4.5 / 8)))};
}

Lesson about_embedding(const Facts& f) {
  const uint64_t n = uint64_t{f.hyper.vocabulary} * f.hyper.width;
  const uint64_t bytes = f.model.token_embedding ? f.model.token_embedding->bytes() : 0;
  std::string text = fmt::format(
      "{} of the weights ({:.0f} %) are the embedding: a row of {} numbers for each of {} tokens. ",
      format_count(n), share(n, f.parameters), f.hyper.width, format_count(f.hyper.vocabulary));
  text +=
      f.model.tied()
          ? "The same matrix is the head, which turns the last row of numbers back into a "
            "token, so it is read whole for each token, and its precision counts twice."
          : "A token looks up its one row; the head, another matrix of that shape, is read whole "
            "for each token.";
  return {titled("The embedding, part of them", bytes), text};
}

// What a token keeps, in all layers.
struct Kept {
  uint64_t bytes = 0, layers = 0, heads = 0, kv_heads = 0;
};

Kept kept_of(const Facts& f) {
  Kept kept;
  for (uint32_t l = 0; l < f.hyper.n_layers; ++l) {
    const LayerWidths widths = f.hyper.widths(l);
    kept.layers += f.hyper.attends(l);
    kept.heads += widths.n_heads;
    kept.kv_heads += widths.n_kv_heads;
    kept.bytes += widths.n_kv_heads * f.layout.kv[l].row_bytes();
  }
  return kept;
}

// "30 x (192 + 192)"
std::string kept_numbers(const HyperParameters& h, const Kept& kept) {
  const uint64_t heads = h.uneven.empty() ? h.n_kv_heads : 1;
  return fmt::format("{} x ({} + {})", kept.kv_heads / heads, heads * h.key_dim,
                     heads * h.value_dim);
}

Lesson about_cache(const Facts& f) {
  const HyperParameters& h = f.hyper;
  const Kept kept = kept_of(f);
  const uint64_t numbers = kept.kv_heads * (uint64_t{h.key_dim} + h.value_dim);
  std::string text = fmt::format(
      "Each token looks back at all tokens before it. What it looks at, a key and a value in each "
      "of {} layers, is kept instead of computed again: {} numbers of {:.3g} bits, "
      "{} a token, {} at the {} tokens planned here. It grows with every token of context. ",
      kept.layers, kept_numbers(h, kept),
      8.0 * static_cast<double>(kept.bytes) / static_cast<double>(numbers),
      format_bytes(kept.bytes), format_bytes(f.layout.kv_bytes / f.layout.sequences),
      format_count(f.layout.context));
  if (kept.kv_heads < kept.heads) {
    const uint64_t of = h.uneven.empty() ? h.n_layers : 1;
    text += fmt::format("{} heads share {} keys and values: without that, {:.3g} times as much. ",
                        kept.heads / of, kept.kv_heads / of,
                        static_cast<double>(kept.heads) / static_cast<double>(kept.kv_heads));
  }
  if (h.sliding_window)
    text += fmt::format("Most layers look back {} tokens only, and keep no more. ",
                        format_count(h.sliding_window));
  if (f.layout.sequences > 1)
    text += fmt::format("Each of the {} sequences has a cache of its own. ", f.layout.sequences);
  text.pop_back();
  return {titled("KV cache", f.layout.kv_bytes), text};
}

Lesson about_activations(const Facts& f) {
  const uint64_t bytes = f.layout.scratch.bytes;
  return {titled("Activations", bytes),
          fmt::format("The numbers that travel through the layers. A prompt runs in passes of {} "
                      "tokens, each of which takes about {}; a layer reuses the bytes of the one "
                      "before, so {} layers take no more than one. --batch makes the passes "
                      "shorter, which costs speed on long prompts and nothing else.",
                      f.layout.batch, format_bytes(bytes / f.layout.batch), f.hyper.n_layers)};
}

Lesson about_logits(const Facts& f) {
  const uint64_t row = uint64_t{f.hyper.vocabulary} * 4;
  return {titled("Logits", f.layout.logits_bytes),
          fmt::format("One number for each token that might come next: {} x 4 bytes. Only the last "
                      "token's are wanted; those of a whole prompt of {} tokens would take {}.",
                      format_count(f.hyper.vocabulary), format_count(f.layout.context),
                      format_bytes(row * f.layout.context))};
}

Lesson about_process(const Facts& f) {
  const uint64_t vocabulary = f.bytes_of(owner::kVocabulary);
  const uint64_t process = f.bytes_of(owner::kProcess);
  return {titled("The program itself", vocabulary + process),
          fmt::format("{} for the names of the tokens and the tables that cut text into them, and "
                      "about {} for the program, its libraries and its threads' stacks.",
                      format_bytes(vocabulary), format_bytes(process))};
}

Result<Lesson> about_training(const Facts& f) {
  TrainingRequest request;
  request.context = f.layout.context, request.sequences = f.layout.sequences;
  ASSIGN_OR_RETURN(const TrainingLayout with, lay_out_training(f.model, request));
  ASSIGN_OR_RETURN(const MemoryMap map, plan_training(f.model, request));
  request.optimizer = Optimizer::kAdamW8bit;
  ASSIGN_OR_RETURN(const TrainingLayout small, lay_out_training(f.model, request));
  uint64_t kept = 0;
  for (uint32_t l = 0; l < f.hyper.n_layers; ++l) kept += kept_values_per_token(f.hyper, l) * 4;
  return Lesson{
      titled("What training would take", map.total_bytes()),
      fmt::format(
          "Weights that move are kept in 4 bytes ({}), and the AdamW optimizer remembers two "
          "averages of each one's gradient in 4 bytes each ({}; in 8 bits each, {}). All "
          "gradients would be as large as the weights: here a layer's ({}) are used up "
          "before the next one's begin. The way back needs what the way there computed: {} "
          "for {} tokens. Keeping only the input of each layer ({}) and computing the rest "
          "again, layer by layer, needs {} at a time, for about a third more work.",
          format_bytes(with.parameters), format_bytes(with.optimizer),
          format_bytes(small.optimizer), format_bytes(with.gradients),
          format_bytes(kept * with.n_tokens), format_count(with.n_tokens),
          format_bytes(with.checkpoints), format_bytes(with.pass.bytes))};
}

}  // namespace

Result<std::vector<Lesson>> teach_memory(const Model& model, const InferenceRequest& request) {
  ASSIGN_OR_RETURN(SessionLayout layout, lay_out_session(model, request));
  ASSIGN_OR_RETURN(MemoryMap map, plan_inference(model, request));
  ASSIGN_OR_RETURN(const uint64_t parameters, count_parameters(model));
  const Facts facts{model, model.hyper, std::move(layout), std::move(map), parameters};
  std::vector<Lesson> lessons = {about_weights(facts), about_embedding(facts),
                                 about_cache(facts),   about_activations(facts),
                                 about_logits(facts),  about_process(facts)};
  ASSIGN_OR_RETURN(Lesson training, about_training(facts));
  lessons.push_back(std::move(training));
  return lessons;
}

}  // namespace enxuto
