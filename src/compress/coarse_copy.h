// A tensor, or some of its rows, in a format so coarse that the model's answers change measurably.
#pragma once

#include "compress/calibrate.h"
#include "compress/workbench.h"

namespace enxuto {

class CoarseCopy {
 public:
  // The whole tensor. memory: as many bytes as the plan has for a coarse copy.
  static Result<CoarseCopy> of(const Workbench& bench, const Tensor& tensor,
                               const float* importance, std::span<uint8_t> memory);
  // Rows that are in memory.
  static CoarseCopy of_rows(const Tensor& rows, const float* importance, ThreadTeam& team,
                            std::span<uint8_t> memory);

  // Puts it in the place of `tensor`; must outlive the hooks.
  ForwardHooks hooks(const Tensor& tensor) const;
  const MatrixView& view() const { return view_; }

 private:
  MatrixView view_;
};

// values, there and back. importance: (n), or null.
void make_coarse(const Codec& codec, const float* importance, std::span<float> values);

}  // namespace enxuto
