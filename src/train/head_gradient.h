// The head of a frozen decoder, there and back: cross entropy against labels that the model itself
// draws, over a vocabulary that comes in blocks of rows. All blocks go through draw(), then all
// through backward().
#pragma once

#include <vector>

#include "kernels/cross_entropy.h"
#include "train/head_logits.h"

namespace enxuto {

class HeadGradient {
 public:
  // memory: as LayerGradient's, which it shares: they are not used at the same time. Of each text
  // at most layout.n_tokens tokens.
  HeadGradient(Session& session, const Dense& dense, const GradientLayout& layout, uint8_t* memory,
               const std::vector<std::vector<Token>>& texts);

  // x: (n_tokens, width), what the last layer gave.
  void draw(size_t text, const float* x, const HeadBlock& block);
  // dnormed, the gradient by the final norm of x, is begun by the first block and added to by the
  // others.
  void backward(size_t text, const float* x, const HeadBlock& block, float* dnormed,
                const std::function<void(const LinearGradient&)>& see);
  // dnormed becomes the gradient by x.
  void norm_back(size_t text, const float* x, float* dnormed);

  // The token that was drawn for what follows token t.
  int64_t label(size_t text, size_t t) const { return losses_[first_[text] + t].label(); }

 private:
  int64_t n_tokens(size_t text) const { return static_cast<int64_t>(texts_[text].size()); }

  HeadLogits head_;
  const std::vector<std::vector<Token>>& texts_;
  std::vector<size_t> first_;  // of each text's losses
  std::vector<SampledCrossEntropy> losses_;
};

}  // namespace enxuto
