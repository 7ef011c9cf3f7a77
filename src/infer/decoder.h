// Writes a sequence token by token, and runs ahead where it can guess: several guesses are verified
// in one pass, and step() answers from it for as long as they prove right.
//
// Exact: every row of logits is, bit for bit, that of a session fed token by token, whatever was
// guessed. So is all that a caller draws from them.
#pragma once

#include <optional>
#include <vector>

#include "infer/draft_length.h"
#include "infer/prompt_lookup.h"
#include "infer/session.h"

namespace enxuto {

struct DecodeStatistics {
  uint64_t passes = 0;    // over the weights
  uint64_t steps = 0;     // that they answered
  uint64_t drafted = 0;   // guesses that were put to the test,
  uint64_t accepted = 0;  // and proved right
};

class Decoder {
 public:
  explicit Decoder(Session& session);

  const std::vector<Token>& tokens() const { return tokens_; }  // the sequence so far
  // Forgets all from n on; returns how many are left, as Session::rewind.
  uint32_t rewind(uint32_t n);
  // Adds many tokens at once. After an error the sequence is as it was.
  Result<std::span<const float>> prompt(std::span<const Token> tokens);
  // Adds a token; at most `most_ahead` are guessed beyond it. The logits of what follows, valid
  // until the next call.
  Result<std::span<const float>> step(Token token, uint32_t most_ahead);

  const DecodeStatistics& statistics() const { return statistics_; }

 private:
  void push(Token token);
  void drop_guesses();
  void guess(uint32_t most_ahead);
  Result<std::span<const float>> pass(Token token);

  Session& session_;
  std::optional<PromptLookup> lookup_;
  DraftLength length_;
  std::vector<Token> tokens_;
  // The pass that ran ahead: the guesses, how many have been confirmed, and all rows of logits.
  std::vector<Token> draft_;
  size_t confirmed_ = 0;
  uint32_t match_ = 0;
  std::span<const float> rows_;
  DecodeStatistics statistics_;
};

}  // namespace enxuto
