#include "train/head_loss.h"

#include "kernels/cross_entropy.h"

namespace enxuto {

void HeadLoss::measure(const float* x, const HeadBlock& block, std::span<TokenLoss> losses) {
  head_.forward(x, static_cast<int64_t>(losses.size()), block,
                [&](size_t t, std::span<const float> logits) {
                  TokenLoss& loss = losses[t];
                  loss.sum.add(logits);
                  const int64_t target = loss.target - block.first;
                  if (target >= 0 && target < block.rows.rows)
                    loss.target_logit = logits[static_cast<size_t>(target)];
                });
}

void HeadLoss::backward(const float* x, const HeadBlock& block, std::span<const TokenLoss> losses,
                        float scale, bool at_hand, float* dnormed,
                        const std::function<void(const LinearGradient&)>& see) {
  head_.backward(x, static_cast<int64_t>(losses.size()), block, at_hand, dnormed, see,
                 [&](size_t t, std::span<float> logits) {
                   const TokenLoss& loss = losses[t];
                   cross_entropy_gradient(loss.sum, loss.target, block.first, logits,
                                          loss.counts ? scale : 0.0f);
                 });
}

}  // namespace enxuto
