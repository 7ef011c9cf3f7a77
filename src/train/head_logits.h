// The head of a decoder over blocks of the vocabulary, there and back: final norm, logits, and the
// cap on them where the model has one. No row of logits is ever whole; what a loss is made of them
// is for the caller to say.
#pragma once

#include <algorithm>
#include <vector>

#include "train/layer_gradient.h"

namespace enxuto {

// Some rows of the head, at most kVocabularyBlock, the first of them for the token `first`.
struct HeadBlock {
  WeightRows rows;
  int64_t first;
  // From row `row` of a piece of the head on, which is that of the token `first`.
  static HeadBlock of(const Tensor& piece, uint64_t row, uint64_t first);
};

class HeadLogits {
 public:
  // memory: as LayerGradient's, which it shares: they are not used at the same time.
  HeadLogits(Session& session, const Dense& dense, const GradientLayout& layout, uint8_t* memory);

  // x: (n, width), what the last layer gave; n at most layout.n_tokens. Calls body(token, logits)
  // for each, by any thread; the logits may be changed.
  template <class Body>
  void forward(const float* x, int64_t n, const HeadBlock& block, const Body& body) {
    compute(x, n, block);
    for_tokens(n, block, body);
  }

  // at_hand: the last call was forward() with the same x and block, whose logits nobody has
  // changed. gradient(token, logits): the logits become the loss's gradient by them. dnormed, the
  // gradient by the final norm of x, is begun by the first block and added to by the others. see:
  // the block as a linear layer; may be empty.
  template <class Gradient>
  void backward(const float* x, int64_t n, const HeadBlock& block, bool at_hand, float* dnormed,
                const std::function<void(const LinearGradient&)>& see, const Gradient& gradient) {
    if (!at_hand) compute(x, n, block);
    const float cap = hyper_.final_logit_softcap;
    for_tokens(n, block, [&](size_t t, std::span<float> logits) {
      std::vector<float> capped(cap == 0.0f ? 0 : logits.size());
      std::copy_n(logits.begin(), capped.size(), capped.begin());
      gradient(t, logits);
      for (size_t i = 0; i < capped.size(); ++i) {
        const float share = capped[i] / cap;
        logits[i] *= 1 - share * share;
      }
    });
    end_backward(n, block, dnormed, see);
  }

  // dnormed becomes the gradient by x. see: may be empty.
  void norm_back(const float* x, int64_t n, float* dnormed,
                 const std::function<void(const NormGradient&)>& see);

 private:
  void compute(const float* x, int64_t n, const HeadBlock& block);
  void end_backward(int64_t n, const HeadBlock& block, float* dnormed,
                    const std::function<void(const LinearGradient&)>& see);
  template <class Body>
  void for_tokens(int64_t n, const HeadBlock& block, const Body& body) {
    const auto n_rows = static_cast<size_t>(block.rows.rows);
    session_.team().parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
      for (auto t = static_cast<size_t>(begin); t < static_cast<size_t>(end); ++t)
        body(t, std::span(logits_ + t * n_rows, n_rows));
    });
  }

  Session& session_;
  const HyperParameters& hyper_;
  WeightProducts products_;
  float *normed_, *logits_;
};

}  // namespace enxuto
