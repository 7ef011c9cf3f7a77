// Choosing the next token from logits: penalties, top-k, top-p, min-p, temperature, draw, in
// llama.cpp's order. The same seed and logits give the same tokens on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/token_rules.h"

namespace enxuto {

// Defaults are llama.cpp's.
struct SamplingOptions {
  float temperature = 0.8f;  // <= 0: the most probable token
  int top_k = 40;            // <= 0: all
  float top_p = 0.95f;
  float min_p = 0.05f;
  float repeat_penalty = 1.0f;  // over the last repeat_last_n tokens
  int repeat_last_n = 64;
  uint64_t seed = 0;
};

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  void accept(Token token);  // remembers it for the repetition penalty
  Token sample(std::span<const float> logits);
  // Among these tokens only, of which there is at least one.
  Token sample(std::span<const float> logits, const TokenSet& allowed);

 private:
  struct Candidate {
    Token token;
    float logit;
    bool operator<(const Candidate& other) const;  // better first; ties by the lower token
  };
  Token choose();
  void penalize(std::span<const float> logits);
  void keep_top_k();
  void keep_top_p();
  void keep_min_p();
  Token draw();
  uint64_t random();  // xoshiro256**

  SamplingOptions options_;
  uint64_t state_[4];
  std::vector<Token> recent_;  // a ring of at most repeat_last_n
  size_t oldest_ = 0;
  std::vector<Candidate> candidates_;
  bool sorted_ = false;
};

}  // namespace enxuto
