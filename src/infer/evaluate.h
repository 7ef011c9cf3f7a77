// Perplexity, KL divergence and top-1 agreement by llama-perplexity's rule: chunks of 512 tokens,
// each opened by BOS where the model wants one, the second half of each scored. Activations are
// rounded as there (InputScales::kOfLlamaCpp), unless it is to be as run has it.
#pragma once

#include <span>
#include <string_view>

#include "base/progress.h"
#include "infer/session.h"
#include "plan/goal.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

struct EvaluateOptions {
  InferenceRequest request;  // evaluation_request(), and what share_evaluation() reads
  uint32_t max_chunks = 0;   // 0: all
  bool as_run = false;       // the model's products are those of run, not of llama.cpp
};

struct Evaluation {
  uint32_t chunks = 0;
  uint64_t scored_tokens = 0;
  uint64_t scored_bytes = 0;                    // of text
  double perplexity = 0, perplexity_error = 0;  // one standard error
  double bits_per_byte = 0;  // of text: compares models of different vocabularies
  // With a reference only:
  bool compared = false;
  double reference_perplexity = 0;
  double kld_mean = 0, kld_mean_error = 0;  // nats
  double kld_median = 0, kld_p99 = 0, kld_max = 0;
  double same_top = 0;  // share in [0, 1]
  double seconds = 0;
};

// Whether both have the same tokens under the same numbers.
bool same_vocabulary(const Model& model, const Model& other);

// tokenizer: the model's. reference: null, or a model with the same vocabulary. kBadInput where the
// text is shorter than two chunks.
Result<Evaluation> evaluate(std::shared_ptr<const Model> model, const Tokenizer& tokenizer,
                            std::shared_ptr<const Model> reference, std::string_view text,
                            const EvaluateOptions& options, const Progress& progress);

// The same of tokens that are cut already: whole chunks of options.request.context.
Result<Evaluation> evaluate_tokens(std::shared_ptr<const Model> model,
                                   std::shared_ptr<const Model> reference,
                                   std::span<const Token> tokens, const EvaluateOptions& options,
                                   const Progress& progress);

}  // namespace enxuto
