#include "train/head_loss.h"

#include <cmath>

#include "kernels/gradients.h"
#include "kernels/row_sums.h"

namespace enxuto {
namespace {

// From what the cap gave to the slope that it has there.
float cap_slope(float capped, float cap) {
  const float share = capped / cap;
  return 1 - share * share;
}

// A token's logits become the gradient of scale times its loss by them: p, and p - 1 at the target.
void gradient_of(const TokenLoss& loss, int64_t first, float scale, float cap,
                 std::span<float> logits) {
  const auto log_sum = static_cast<float>(loss.sum.log());
  const int64_t target = loss.target - first;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float z = logits[i], slope = cap == 0.0f ? 1.0f : cap_slope(z, cap);
    const float share = exp_below_zero(z - log_sum);
    logits[i] = scale * slope * (static_cast<int64_t>(i) == target ? share - 1 : share);
  }
}

}  // namespace

HeadLoss::HeadLoss(Session& session, const Dense& dense, const GradientLayout& layout,
                   uint8_t* memory)
    : session_(session),
      hyper_(session.model().hyper),
      products_(dense, session.team(), reinterpret_cast<float*>(memory + layout.products),
                layout.rounded_in(memory)),
      normed_(reinterpret_cast<float*>(memory + layout.normed)),
      logits_(reinterpret_cast<float*>(memory + layout.logits)) {}

// The block's logits, capped where the model caps them.
void HeadLoss::logits(const float* x, int64_t n, const Block& block) {
  session_.final_norm(x, n, normed_);
  products_.forward(block.rows, normed_, n, nullptr, logits_);
  const float cap = hyper_.final_logit_softcap;
  if (cap == 0.0f) return;
  for_tokens(n, block.rows.rows, [cap](int64_t, std::span<float> logits) {
    for (float& z : logits) z = cap * std::tanh(z / cap);
  });
}

void HeadLoss::measure(const float* x, const Block& block, std::span<TokenLoss> losses) {
  logits(x, static_cast<int64_t>(losses.size()), block);
  for_tokens(static_cast<int64_t>(losses.size()), block.rows.rows,
             [&](int64_t t, std::span<float> logits) {
               TokenLoss& loss = losses[static_cast<size_t>(t)];
               loss.sum.add(logits);
               const int64_t target = loss.target - block.first;
               if (target >= 0 && target < block.rows.rows)
                 loss.target_logit = logits[static_cast<size_t>(target)];
             });
}

void HeadLoss::backward(const float* x, const Block& block, std::span<const TokenLoss> losses,
                        float scale, float* dnormed,
                        const std::function<void(const LinearGradient&)>& see) {
  const auto n = static_cast<int64_t>(losses.size());
  logits(x, n, block);
  for_tokens(n, block.rows.rows, [&](int64_t t, std::span<float> logits) {
    const TokenLoss& loss = losses[static_cast<size_t>(t)];
    gradient_of(loss, block.first, loss.counts ? scale : 0.0f, hyper_.final_logit_softcap, logits);
  });
  if (see) see({*session_.model().output, nullptr, normed_, logits_, block.rows.rows, n});
  products_.backward(block.rows, logits_, n, block.first == 0 ? 0.0f : 1.0f, dnormed);
}

void HeadLoss::norm_back(const float* x, int64_t n, float* dnormed,
                         const std::function<void(const NormGradient&)>& see) {
  const int64_t width = hyper_.width;
  const Tensor& norm = *session_.model().output_norm;
  if (see) see({norm, x, dnormed, n});
  const auto* weights = reinterpret_cast<const float*>(session_.weight_rows(norm).pieces[0].data);
  session_.team().parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = dnormed + t * width;
      rms_norm_gradient(x + t * width, weights, hyper_.norm_epsilon, width, row, row);
    }
  });
}

template <class Body>
void HeadLoss::for_tokens(int64_t n, int64_t n_rows, const Body& body) {
  session_.team().parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t)
      body(t, std::span(logits_ + t * n_rows, static_cast<size_t>(n_rows)));
  });
}

}  // namespace enxuto
