#include "train/head_gradient.h"

#include <cmath>

#include "kernels/gradients.h"

namespace enxuto {
namespace {

// A number of [0, 1) that is the same whoever asks for it, in whatever order: splitmix64 of a seed
// and where it is used.
double uniform_at(uint64_t loss, int64_t first) {
  constexpr uint64_t kSeed = 0x5eed, kStep = 0x9e3779b97f4a7c15;
  uint64_t z = kSeed + (loss << 32 | static_cast<uint64_t>(first)) * kStep;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return static_cast<double>((z ^ z >> 31) >> 11) * 0x1p-53;
}

}  // namespace

HeadGradient::HeadGradient(Session& session, const Dense& dense, const GradientLayout& layout,
                           uint8_t* memory, const std::vector<std::vector<Token>>& texts)
    : session_(session),
      hyper_(session.model().hyper),
      products_(dense, session.team(), reinterpret_cast<float*>(memory + layout.products)),
      normed_(reinterpret_cast<float*>(memory + layout.normed)),
      logits_(reinterpret_cast<float*>(memory + layout.logits)),
      texts_(texts) {
  size_t n = 0;
  for (const auto& text : texts) {
    first_.push_back(n);
    n += text.size();
  }
  losses_.resize(n);
}

// The block's logits, capped where the model caps them.
void HeadGradient::run(size_t text, const float* x, const Block& block) {
  session_.final_norm(x, static_cast<int64_t>(texts_[text].size()), normed_);
  products_.forward(block.rows, normed_, static_cast<int64_t>(texts_[text].size()), nullptr,
                    logits_);
  const float cap = hyper_.final_logit_softcap;
  if (cap == 0.0f) return;
  for_tokens(text, block, [cap](size_t, std::span<float> logits) {
    for (float& z : logits) z = cap * std::tanh(z / cap);
  });
}

void HeadGradient::draw(size_t text, const float* x, const Block& block) {
  run(text, x, block);
  for_tokens(text, block, [&](size_t t, std::span<float> logits) {
    const size_t loss = first_[text] + t;
    losses_[loss].add(logits, block.first, uniform_at(loss, block.first));
  });
}

void HeadGradient::backward(size_t text, const float* x, const Block& block, float* dnormed,
                            const std::function<void(const LinearGradient&)>& see) {
  run(text, x, block);
  const float cap = hyper_.final_logit_softcap;
  for_tokens(text, block, [&](size_t t, std::span<float> logits) {
    std::vector<float> capped(cap == 0.0f ? 0 : logits.size());
    std::copy_n(logits.begin(), capped.size(), capped.begin());
    losses_[first_[text] + t].gradient(logits, block.first);
    for (size_t i = 0; i < capped.size(); ++i) {
      const float share = capped[i] / cap;
      logits[i] *= 1 - share * share;
    }
  });
  const auto n = static_cast<int64_t>(texts_[text].size());
  see({*session_.model().output, nullptr, normed_, logits_, block.rows.rows, n});
  products_.backward(block.rows, logits_, n, block.first == 0 ? 0.0f : 1.0f, dnormed);
}

void HeadGradient::norm_back(size_t text, const float* x, float* dnormed) {
  const int64_t width = hyper_.width;
  const Tensor& norm = *session_.model().output_norm;
  const WeightRows weights = session_.weight_rows(norm);
  for (size_t t = 0; t < texts_[text].size(); ++t) {
    float* row = dnormed + static_cast<int64_t>(t) * width;
    rms_norm_gradient(x + static_cast<int64_t>(t) * width,
                      reinterpret_cast<const float*>(weights.pieces[0].data), hyper_.norm_epsilon,
                      width, row, row);
  }
}

template <class Body>
void HeadGradient::for_tokens(size_t text, const Block& block, const Body& body) {
  const auto n_rows = static_cast<size_t>(block.rows.rows);
  session_.team().parallel_for(
      static_cast<int64_t>(texts_[text].size()), 4, [&](int64_t begin, int64_t end, int) {
        for (auto t = static_cast<size_t>(begin); t < static_cast<size_t>(end); ++t)
          body(t, std::span(logits_ + t * n_rows, n_rows));
      });
}

}  // namespace enxuto
