// The scalar oracle of losses, of the way back and of learning.
#pragma once

#include "kernels/kernels.h"

namespace enxuto::reference {

float largest(const float* x, int64_t n);
double sum_exponentials(const float* x, int64_t n, float top);
double exponentials(float* x, int64_t n, float top, float scale);
double dot(const float* x, const float* y, int64_t n);
void attention_gradient(float* scores, float* gradients, int64_t n, const AttentionRow& row);
void rms_norm_gradient(const float* x, const float* weight, float epsilon, int64_t n,
                       const float* dy, float* dx);
void silu_mul_gradient(float* gate, float* up, const float* dy, int64_t n);
void gelu_mul_gradient(float* gate, float* up, const float* dy, int64_t n);
void gelu_gradient(float* x, const float* dy, int64_t n);
void adam_step(const AdamRates& rates, const float* g, int64_t n, float* w, float* m, float* v);
void sgd_step(const SgdRates& rates, const float* g, int64_t n, float* w, float* m);
void encode_mean(const float* m, int64_t n, const Chance& chance, int8_t* codes, float* scale);
void decode_mean(const int8_t* codes, float scale, int64_t n, float* m);
void encode_square(const float* v, int64_t n, const Chance& chance, uint8_t* codes, float* scale);
void decode_square(const uint8_t* codes, float scale, int64_t n, float* v);
void round_to_bf16(const float* values, int64_t n, uint16_t* rounded);
void round_by_chance(const float* values, int64_t n, const Chance& chance, uint16_t* rounded);

}  // namespace enxuto::reference
