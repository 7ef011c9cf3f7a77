#include "train/head_logits.h"

#include <cmath>

#include "kernels/kernels.h"

namespace enxuto {

HeadBlock HeadBlock::of(const Tensor& piece, uint64_t row, uint64_t first) {
  const uint64_t n = std::min<uint64_t>(kVocabularyBlock, piece.rows() - row);
  return {{piece.type,
           static_cast<int64_t>(n),
           static_cast<int64_t>(piece.columns()),
           piece.row_bytes(),
           {{0, piece.row(row).data()}}},
          static_cast<int64_t>(first)};
}

HeadLogits::HeadLogits(Session& session, const Dense& dense, const GradientLayout& layout,
                       uint8_t* memory)
    : session_(session),
      hyper_(session.model().hyper),
      products_(dense, session.team(), reinterpret_cast<float*>(memory + layout.products),
                layout.rounded_in(memory)),
      normed_(reinterpret_cast<float*>(memory + layout.normed)),
      logits_(reinterpret_cast<float*>(memory + layout.logits)) {}

void HeadLogits::compute(const float* x, int64_t n, const HeadBlock& block) {
  session_.final_norm(x, n, normed_);
  products_.forward(block.rows, normed_, n, nullptr, logits_);
  const float cap = hyper_.final_logit_softcap;
  if (cap == 0.0f) return;
  for_tokens(n, block, [cap](size_t, std::span<float> logits) {
    for (float& z : logits) z = cap * std::tanh(z / cap);
  });
}

void HeadLogits::end_backward(int64_t n, const HeadBlock& block, float* dnormed,
                              const std::function<void(const LinearGradient&)>& see) {
  if (see) see({*session_.model().output, nullptr, normed_, logits_, block.rows.rows, n});
  products_.backward(block.rows, logits_, n, block.first == 0 ? 0.0f : 1.0f, dnormed);
}

void HeadLogits::norm_back(const float* x, int64_t n, float* dnormed,
                           const std::function<void(const NormGradient&)>& see) {
  const int64_t width = hyper_.width;
  const Tensor& norm = *session_.model().output_norm;
  if (see) see({norm, session_.model().output_norm_bias, x, dnormed, n});
  const WeightRows rows = session_.weight_rows(norm);
  const auto* weights = reinterpret_cast<const float*>(rows.pieces[0].data);
  session_.team().parallel_for(n, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      float* row = dnormed + t * width;
      norm_gradient(hyper_, x + t * width, weights, row, row);
    }
  });
}

}  // namespace enxuto
