// What a step of an optimizer is told; the steps are in the KernelTable.
#pragma once

#include <cstdint>

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

// SGD with momentum: m = momentum m + g, w -= rate m.
struct SgdRates {
  float rate, decay, momentum, gradient_scale;
};

// Numbers without a pattern, the same for the same place, whoever asks in whatever order, on
// whatever instruction set.
struct Chance {
  uint32_t seed;
  // Of one row among many.
  static Chance of(uint64_t place, uint64_t seed) {
    const uint64_t mixed = (place + 1) * 0x9e3779b97f4a7c15 ^ seed * 0xd1342543de82ef95;
    return {static_cast<uint32_t>(mixed >> 32 ^ mixed)};
  }
  uint32_t bits_at(uint32_t i) const {  // 24 of them
    uint32_t z = (i ^ seed) * 0x9e3779b1u;
    z = (z ^ z >> 15) * 0x85ebca6bu;
    z = (z ^ z >> 13) * 0xc2b2ae35u;
    return (z ^ z >> 16) >> 8;
  }
  float at(uint32_t i) const { return static_cast<float>(bits_at(i)) * 0x1p-24f; }  // of [0, 1)
};

}  // namespace enxuto
