// Products of many tokens' f32 activations with weights in any format, forward and backward: blocks
// of the weights are decoded into cache as they are used, and met by oneDNN. What inference does
// not need, and training and compress do: activations are not rounded.
#pragma once

#include <cstdint>
#include <vector>

#include "codecs/codec.h"
#include "kernels/dense.h"
#include "platform/threads.h"

namespace enxuto {

// A matrix of weights whose rows lie in one piece or in several, in order.
struct WeightRows {
  struct Piece {
    int64_t first_row;
    const uint8_t* data;
  };
  Type type;
  int64_t rows, columns;
  uint64_t row_bytes;
  std::vector<Piece> pieces;
};

// Results depend neither on the number of threads nor on how rows are cut into pieces.
class WeightProducts {
 public:
  static uint64_t scratch_floats(int n_threads);
  // scratch: scratch_floats(team.size()) floats
  WeightProducts(const Dense& dense, ThreadTeam& team, float* scratch)
      : dense_(dense), team_(team), scratch_(scratch) {}

  // y (n, w.rows) = x (n, w.columns) w'  + bias (w.rows), or null
  void forward(const WeightRows& w, const float* x, int64_t n, const float* bias, float* y) const;
  // dx (n, w.columns) = beta dx + dy (n, w.rows) w
  void backward(const WeightRows& w, const float* dy, int64_t n, float beta, float* dx) const;

 private:
  float* scratch_of(int thread) const;

  Dense dense_;
  ThreadTeam& team_;
  float* scratch_;
};

}  // namespace enxuto
