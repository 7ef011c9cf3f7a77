// The head in training: cross entropy against the tokens that come next, and where there is a
// teacher, the divergence from what it says. All blocks of the vocabulary go through measure(),
// then all through backward().
#pragma once

#include "kernels/distillation.h"
#include "kernels/exponential_sum.h"
#include "train/head_logits.h"

namespace enxuto {

// What is known of the loss of one token.
struct TokenLoss {
  ExponentialSum sum;  // of its logits
  float target_logit = 0;
  Token target = 0;
  bool counts = false;
  double loss() const { return sum.log() - target_logit; }
};

// Of the tokens of a pass: what a teacher says, and the loss against it.
struct TaughtTokens {
  std::span<const Token> tokens;  // so many of each token
  std::span<const float> log_p;   // and one more
  std::span<TaughtLoss> losses;   // empty: there is no teacher
  float weight = 0;               // of that loss; what is left to 1 is cross entropy's

  Taught at(size_t t) const {
    const size_t top = tokens.size() / losses.size();
    return {tokens.subspan(t * top, top), log_p.subspan(t * (top + 1), top + 1)};
  }
};

class HeadLoss {
 public:
  // As HeadLogits.
  HeadLoss(Session& session, const Dense& dense, const GradientLayout& layout, uint8_t* memory)
      : head_(session, dense, layout, memory) {}

  // x: (losses.size(), width), what the last layer gave.
  void measure(const float* x, const HeadBlock& block, std::span<TokenLoss> losses,
               const TaughtTokens& taught);
  // Each loss that counts is multiplied with scale. at_hand: the last call was measure() of the
  // same. dnormed, see: as HeadLogits::backward.
  void backward(const float* x, const HeadBlock& block, std::span<const TokenLoss> losses,
                const TaughtTokens& taught, float scale, bool at_hand, float* dnormed,
                const std::function<void(const LinearGradient&)>& see);
  void norm_back(const float* x, int64_t n, float* dnormed,
                 const std::function<void(const NormGradient&)>& see) {
    head_.norm_back(x, n, dnormed, see);
  }

 private:
  HeadLogits head_;
};

}  // namespace enxuto
