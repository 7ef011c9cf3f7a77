#include "train/head_gradient.h"

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
    : head_(session, dense, layout, memory), texts_(texts) {
  size_t n = 0;
  for (const auto& text : texts) {
    first_.push_back(n);
    n += text.size();
  }
  losses_.resize(n);
}

void HeadGradient::draw(size_t text, const float* x, const HeadBlock& block) {
  head_.forward(x, n_tokens(text), block, [&](size_t t, std::span<const float> logits) {
    const size_t loss = first_[text] + t;
    losses_[loss].add(logits, block.first, uniform_at(loss, block.first));
  });
}

void HeadGradient::backward(size_t text, const float* x, const HeadBlock& block, float* dnormed,
                            const std::function<void(const LinearGradient&)>& see) {
  head_.backward(x, n_tokens(text), block, false, dnormed, see,
                 [&](size_t t, std::span<float> logits) {
                   losses_[first_[text] + t].gradient(logits, block.first);
                 });
}

void HeadGradient::norm_back(size_t text, const float* x, float* dnormed) {
  head_.norm_back(x, n_tokens(text), dnormed, {});
}

}  // namespace enxuto
