// Steps of learning that are plain loops, compilers' to vectorize: APOLLO's, and the average of
// weights over steps.
#pragma once

#include <cstdint>

#include "kernels/optimizer_steps.h"

namespace enxuto {

// Of the normal distribution: two of the uniform one become one (Box & Muller, 1958).
float normal_at(const Chance& chance, uint32_t i);

// APOLLO of rank 1 (Zhu et al., 2025): AdamW's moments are those of the gradient's projection r,
// and the gradient itself is the step, made longer as AdamW would have r.
struct ProjectedSquares {
  double step, r;  // sums of (m / (sqrt(v) + epsilon))^2, of r^2
};
// m and v as AdamW's; r is multiplied by gradient_scale before.
ProjectedSquares projected_moments(const AdamRates& rates, const float* r, int64_t n, float* m,
                                   float* v);
// w = decay w - by g
void plain_step(float decay, float by, const float* g, int64_t n, float* w);

// average += share (w - average); w in f32 or bf16.
void average_step(float share, const float* w, int64_t n, float* average);
void average_step(float share, const uint16_t* w, int64_t n, float* average);
// w becomes the average, rounded to the nearest bf16; what w was and what rounding took off stay in
// the bits of the average, from where they are taken back.
void exchange_halves(int64_t n, uint16_t* w, float* average);
void take_back_halves(int64_t n, uint16_t* w, float* average);

}  // namespace enxuto
