// The head of a frozen decoder, there and back: cross entropy against labels that the model itself
// draws, over a vocabulary that comes in blocks of rows. All blocks go through draw(), then all
// through backward().
#pragma once

#include <vector>

#include "kernels/cross_entropy.h"
#include "train/layer_gradient.h"

namespace enxuto {

class HeadGradient {
 public:
  // memory: as LayerGradient's, which it shares: they are not used at the same time. Of each text
  // at most layout.n_tokens tokens.
  HeadGradient(Session& session, const Dense& dense, const GradientLayout& layout, uint8_t* memory,
               const std::vector<std::vector<Token>>& texts);

  // Some rows of the head, at most kVocabularyBlock, the first of them for the token `first`.
  struct Block {
    WeightRows rows;
    int64_t first;
  };
  // x: (n_tokens, width), what the last layer gave.
  void draw(size_t text, const float* x, const Block& block);
  // dnormed, the gradient by the final norm of x, is begun by the first block and added to by the
  // others.
  void backward(size_t text, const float* x, const Block& block, float* dnormed,
                const std::function<void(const LinearGradient&)>& see);
  // dnormed becomes the gradient by x.
  void norm_back(size_t text, const float* x, float* dnormed);

  // The token that was drawn for what follows token t.
  int64_t label(size_t text, size_t t) const { return losses_[first_[text] + t].label(); }

 private:
  void run(size_t text, const float* x, const Block& block);
  template <class Body>
  void for_tokens(size_t text, const Block& block, const Body& body);  // body(token, logits)

  Session& session_;
  const HyperParameters& hyper_;
  WeightProducts products_;
  float *normed_, *logits_;
  const std::vector<std::vector<Token>>& texts_;
  std::vector<size_t> first_;  // of each text's losses
  std::vector<SampledCrossEntropy> losses_;
};

}  // namespace enxuto
