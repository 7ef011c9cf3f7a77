// One step of an optimizer, over some weights of a row and what it remembers of them. Plain loops
// that compilers vectorize; what is kept in fewer bits is rounded up or down by chance, so that
// small steps are not lost but made now and then.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace enxuto {

// AdamW (Loshchilov & Hutter, 2019), decay apart from the gradient:
//   m = b1 m + (1 - b1) g     v = b2 v + (1 - b2) g^2
//   w = (1 - rate decay) w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
struct AdamRates {
  float rate, decay;  // decay: 1 - rate * weight decay
  float beta1, beta2, epsilon;
  float mean_scale, root_scale;  // 1 / (1 - b1^t), 1 / sqrt(1 - b2^t)
  float gradient_scale;          // of g, before all else
};
void adam_step(const AdamRates& rates, const float* g, int64_t n, float* w, float* m, float* v);

// SGD with momentum: m = momentum m + g, w -= rate m.
struct SgdRates {
  float rate, decay, momentum, gradient_scale;
};
void sgd_step(const SgdRates& rates, const float* g, int64_t n, float* w, float* m);

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

// Numbers without a pattern, the same for the same place, whoever asks in whatever order.
struct Chance {
  uint32_t seed;
  // Of one row among many.
  static Chance of(uint64_t place, uint64_t seed) {
    const uint64_t mixed = (place + 1) * 0x9e3779b97f4a7c15 ^ seed * 0xd1342543de82ef95;
    return {static_cast<uint32_t>(mixed >> 32 ^ mixed)};
  }
  // 24 bits of [0, 1)
  float at(uint32_t i) const {
    uint32_t z = (i ^ seed) * 0x9e3779b1u;
    z = (z ^ z >> 15) * 0x85ebca6bu;
    z = (z ^ z >> 13) * 0xc2b2ae35u;
    return static_cast<float>((z ^ z >> 16) >> 8) * 0x1p-24f;
  }
  // Of the normal distribution: two of the uniform one become one (Box & Muller, 1958).
  float normal_at(uint32_t i) const {
    const float u = 1 - at(2 * i), v = at(2 * i + 1);  // u > 0
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi_v<float> * v);
  }
};

// Moments of AdamW in 8 bits: a scale for a block of n, codes whose squares are in proportion to
// the values (8-bit optimizers, Dettmers et al., 2022, have another map). Of v the root is kept,
// and never rounded down to nothing.
void encode_mean(const float* m, int64_t n, const Chance& chance, int8_t* codes, float* scale);
void decode_mean(const int8_t* codes, float scale, int64_t n, float* m);
void encode_square(const float* v, int64_t n, const Chance& chance, uint8_t* codes, float* scale);
void decode_square(const uint8_t* codes, float scale, int64_t n, float* v);

// average += share (w - average); w in f32 or bf16.
void average_step(float share, const float* w, int64_t n, float* average);
void average_step(float share, const uint16_t* w, int64_t n, float* average);
// w becomes the average, rounded to the nearest bf16; what w was and what rounding took off stay in
// the bits of the average, from where they are taken back.
void exchange_halves(int64_t n, uint16_t* w, float* average);
void take_back_halves(int64_t n, uint16_t* w, float* average);

void round_to_bf16(const float* values, int64_t n, const Chance& chance, uint16_t* rounded);

}  // namespace enxuto
