#include "train/head_loss.h"

#include "kernels/cross_entropy.h"

namespace enxuto {

void HeadLoss::measure(const float* x, const HeadBlock& block, std::span<TokenLoss> losses,
                       const TaughtTokens& taught) {
  head_.forward(x, static_cast<int64_t>(losses.size()), block,
                [&](size_t t, std::span<float> logits) {
                  TokenLoss& loss = losses[t];
                  loss.sum.add(logits);
                  const int64_t target = loss.target - block.first;
                  if (target >= 0 && target < block.rows.rows)
                    loss.target_logit = logits[static_cast<size_t>(target)];
                  if (!taught.losses.empty())
                    taught.losses[t].add(taught.at(t), block.first, logits);
                });
}

void HeadLoss::backward(const float* x, const HeadBlock& block, std::span<const TokenLoss> losses,
                        const TaughtTokens& taught, float scale, bool at_hand, float* dnormed,
                        const std::function<void(const LinearGradient&)>& see) {
  head_.backward(x, static_cast<int64_t>(losses.size()), block, at_hand, dnormed, see,
                 [&](size_t t, std::span<float> logits) {
                   const TokenLoss& loss = losses[t];
                   const float by = loss.counts ? scale : 0.0f;
                   if (taught.losses.empty())
                     return cross_entropy_gradient(loss.sum, loss.target, block.first, logits, by);
                   mixed_gradient(taught.losses[t], taught.at(t), taught.weight, loss.sum,
                                  loss.target, block.first, logits);
                   for (float& gradient : logits) gradient *= by;
                 });
}

}  // namespace enxuto
