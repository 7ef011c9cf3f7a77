// Rotary position embedding: the angles of a pass, computed once for all its layers and heads.
#pragma once

#include <cstdint>
#include <vector>

#include "models/model.h"

namespace enxuto {

class Rope {
 public:
  // base and scale as hyper-parameters have them; factors: (dims / 2) divisors, or null.
  Rope(RopeLayout layout, uint32_t dims, float base, float scale, const float* factors);
  // Of a model's layers whose window slides, or of the others, which alone have factors.
  Rope(const HyperParameters& hyper, bool sliding, const float* factors);

  // angles (n, dims): of each position from `position` on, dims / 2 cosines, then the sines.
  void fill(uint32_t position, int64_t n, float* angles) const;
  // Turns the first dims values of a head by one position's angles.
  void turn(const float* angles, float* head) const;
  void turn_back(const float* angles, float* head) const;  // its inverse, and its gradient
  uint32_t dims() const { return dims_; }

 private:
  void turn_by(const float* angles, float direction, float* head) const;
  RopeLayout layout_;
  uint32_t dims_;
  std::vector<double> frequencies_;  // (dims / 2), radians per token
};

}  // namespace enxuto
