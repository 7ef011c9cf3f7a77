// Products of many tokens' f32 activations with weights in any format, forward and backward: blocks
// of the weights are decoded into cache as they are used (those that are floats are not), and met
// by oneDNN. What inference does not need, and training and compress do: activations are not
// rounded, or to bf16 only, where that was asked for; sums are f32.
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

  // Some of its rows, as a matrix.
  WeightRows part(int64_t first, int64_t n) const;
};

// Results depend neither on the number of threads nor on how rows are cut into pieces.
class WeightProducts {
 public:
  static uint64_t scratch_floats(int n_threads);
  // scratch: scratch_floats(team.size()) floats. rounded: room for two inputs of any call in bf16,
  // where they are to be rounded (and dense.multiplies_bf16()); null: they are not.
  WeightProducts(const Dense& dense, ThreadTeam& team, float* scratch, uint16_t* rounded = nullptr)
      : dense_(dense), team_(team), scratch_(scratch), rounded_(rounded) {}

  // y (n, w.rows) = x (n, w.columns) w'  + bias (w.rows), or null
  void forward(const WeightRows& w, const float* x, int64_t n, const float* bias, float* y) const;
  // dx (n, w.columns) = beta dx + dy (n, w.rows) w
  void backward(const WeightRows& w, const float* dy, int64_t n, float beta, float* dx) const;
  // The gradient by w: dw (n_rows, n_columns) += dy' x, of dy (n, n_rows) and x (n, n_columns)
  void add_gradient(const float* dy, int64_t n_rows, const float* x, int64_t n_columns, int64_t n,
                    float* dw) const;

 private:
  struct Operand;
  // Where it lies, or decoded.
  Operand block(const WeightRows& w, int64_t row, int64_t n_rows, int64_t column, int64_t n_columns,
                int thread) const;
  Operand input(const float* values, int64_t n_rows, int64_t n_columns, uint16_t* rounded) const;
  void multiply(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, float beta,
                float* c, int64_t c_stride) const;

  Dense dense_;
  ThreadTeam& team_;
  float* scratch_;
  uint16_t* rounded_;
};

}  // namespace enxuto
