// Writes a sequence that keeps to rules (token_rules.h): a medium's form, or a schema.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "infer/sampler.h"
#include "infer/session.h"

namespace enxuto {

// Classifier-free guidance (Ho & Salimans, 2022; of logits: Sanchez et al., 2023): logits are those
// without the prompt, plus `scale` times what the prompt changes of them.
struct Guidance {
  Session* session = nullptr;     // of the same model; null: no guidance
  std::span<const Token> prompt;  // what it is told instead
  float scale = 1;
};

struct RuledRequest {
  std::span<const Token> prompt;  // has at least one token, which the rules have accepted
  SamplingOptions sampling;
  uint64_t most_tokens = UINT64_MAX;
  Guidance guidance;
};

// What follows the prompt, until the rules allow nothing more or most_tokens are there. Where the
// context is full, its older half is forgotten. Sessions are rewound first; tell(token) is called
// for each token and may end all (kInterrupted, as a signal does).
Result<std::vector<Token>> generate(Session& session, const RuledRequest& request,
                                    TokenRules& rules, const std::function<Status(Token)>& tell);

}  // namespace enxuto
