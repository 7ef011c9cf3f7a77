// Token files as what a training step reads: windows of context + 1 tokens, one after the other
// through documents and their ends (packing), so that no token is padding. The last token of a
// window is the first of the next: every token but the file's first is predicted in one window.
// The last tokens of the file, fewer than a window, are not used.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "data/token_file.h"

namespace enxuto {

// A function of the file and the arguments of create(): whoever knows i can go on. Threads may
// share it.
class Sequences {
 public:
  // validation_share in [0, 1): of the windows, the last ones (at least one where the share is not
  // 0 and there are two windows). They are the tail and not spread, since neighbours in a text tell
  // of each other. kBadInput where there is not one window; kUsage for a share or a context out of
  // range.
  static Result<Sequences> create(TokenFile tokens, uint64_t context, double validation_share,
                                  uint64_t seed, bool shuffle);

  uint64_t context() const { return context_; }
  uint64_t n_training() const { return n_training_; }      // windows of an epoch, > 0
  uint64_t n_validation() const { return n_validation_; }  // may be 0
  const TokenFile& file() const { return tokens_; }

  // The i-th window trained on, i from 0 without end: epoch i / n_training(), each in another order
  // (in the file's, where nothing is shuffled). tokens: context + 1. learned: at least context;
  // learned[t] is 1 where the loss counts on predicting tokens[t + 1], else 0 (it may be 0
  // throughout).
  void training(uint64_t i, std::span<Token> tokens, std::span<uint8_t> learned) const;
  // The same of window i < n_validation() kept for validation, in the file's order.
  void validation(uint64_t i, std::span<Token> tokens, std::span<uint8_t> learned) const;

  // Which of the file's windows training(i) is. Those for validation come after n_training()
  // others.
  uint64_t training_window(uint64_t i) const;
  void window(uint64_t i, std::span<Token> tokens, std::span<uint8_t> learned) const;

 private:
  Sequences(TokenFile tokens, uint64_t context, uint64_t seed, bool shuffle)
      : tokens_(std::move(tokens)), context_(context), seed_(seed), shuffle_(shuffle) {}

  TokenFile tokens_;
  uint64_t context_, seed_;
  bool shuffle_;
  uint64_t n_training_ = 0, n_validation_ = 0;
};

}  // namespace enxuto
