#include "infer/rope.h"

#include <cmath>

namespace enxuto {

Rope::Rope(RopeLayout layout, uint32_t dims, float base, float scale, const float* factors)
    : layout_(layout), dims_(dims) {
  for (uint32_t i = 0; i < dims / 2; ++i) {
    const double frequency = std::pow(double{base}, -2.0 * i / dims) / scale;
    frequencies_.push_back(factors ? frequency / factors[i] : frequency);
  }
}

Rope::Rope(const HyperParameters& hyper, bool sliding, const float* factors)
    : Rope(hyper.rope_layout, hyper.rope_dims, sliding ? hyper.rope_base_sliding : hyper.rope_base,
           sliding ? 1.0f : hyper.rope_scale, sliding ? nullptr : factors) {}

void Rope::fill(uint32_t position, int64_t n, float* angles) const {
  const size_t half = frequencies_.size();
  for (int64_t t = 0; t < n; ++t, angles += 2 * half)
    for (size_t i = 0; i < half; ++i) {
      const double angle = (position + static_cast<double>(t)) * frequencies_[i];
      angles[i] = static_cast<float>(std::cos(angle));
      angles[half + i] = static_cast<float>(std::sin(angle));
    }
}

void Rope::turn(const float* angles, float* head) const { turn_by(angles, 1, head); }
void Rope::turn_back(const float* angles, float* head) const { turn_by(angles, -1, head); }

void Rope::turn_by(const float* angles, float direction, float* head) const {
  const size_t half = frequencies_.size();
  const float *cosine = angles, *sine = angles + half;
  const size_t step = layout_ == RopeLayout::kInterleaved ? 2 : 1;
  const size_t partner = layout_ == RopeLayout::kInterleaved ? 1 : half;
  for (size_t i = 0; i < half; ++i) {
    float &a = head[i * step], &b = head[i * step + partner];
    const float s = direction * sine[i], turned = a * cosine[i] - b * s;
    b = a * s + b * cosine[i];
    a = turned;
  }
}

}  // namespace enxuto
