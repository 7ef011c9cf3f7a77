// The head in training: final norm, logits and cross entropy against the tokens that come next,
// over blocks of the vocabulary: no row of logits is ever whole. All blocks go through measure(),
// then all through backward().
#pragma once

#include "kernels/exponential_sum.h"
#include "train/layer_gradient.h"

namespace enxuto {

// What is known of the loss of one token.
struct TokenLoss {
  ExponentialSum sum;  // of its logits
  float target_logit = 0;
  Token target = 0;
  bool counts = false;
  double loss() const { return sum.log() - target_logit; }
};

class HeadLoss {
 public:
  // memory: as LayerGradient's, which it shares: they are not used at the same time.
  HeadLoss(Session& session, const Dense& dense, const GradientLayout& layout, uint8_t* memory);

  // Rows of the head, at most kVocabularyBlock, the first of them for the token `first`.
  struct Block {
    WeightRows rows;
    int64_t first;
  };
  // x: (losses.size(), width), what the last layer gave; at most layout.n_tokens of them.
  void measure(const float* x, const Block& block, std::span<TokenLoss> losses);
  // Each loss that counts is multiplied with scale. dnormed, the gradient by the final norm of x,
  // is begun by the first block and added to by the others. see: the block as a linear layer; may
  // be empty, as below.
  void backward(const float* x, const Block& block, std::span<const TokenLoss> losses, float scale,
                float* dnormed, const std::function<void(const LinearGradient&)>& see);
  // dnormed becomes the gradient by x.
  void norm_back(const float* x, int64_t n, float* dnormed,
                 const std::function<void(const NormGradient&)>& see);

 private:
  void logits(const float* x, int64_t n, const Block& block);
  template <class Body>
  void for_tokens(int64_t n, int64_t n_rows, const Body& body);  // body(token, logits)

  Session& session_;
  const HyperParameters& hyper_;
  WeightProducts products_;
  float *normed_, *logits_;
};

}  // namespace enxuto
