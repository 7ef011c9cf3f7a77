// A change of the weights that costs no byte and leaves the model's function as it is: each column
// of a linear layer's input is carried at another scale, and what makes the input pays for it.
//
//   y = W x = (W / s) (s x)     s x: from a norm whose weights are multiplied by s, or from rows of
//                               another matrix (up for down, v for attn_output)
//
// Blocks of a number format share a scale, so their columns should be alike: an error of column c
// costs s^2 D (D its conditional energy, covariance.h) and is as large as the block's weights are.
// By Cauchy and Schwarz the product of both is least where s^4 = (mean square of its weights) / D.
// (Lin et al., "AWQ", 2023, scale in the same places, and search for the power of the inputs.)
#pragma once

#include <functional>
#include <map>
#include <span>
#include <vector>

#include "compress/covariance.h"
#include "compress/workbench.h"

namespace enxuto {

class ColumnScales {
 public:
  // Finds the inputs that can be scaled: all that use them, and what makes them, are floats that no
  // one else uses. Takes its memory from the arena.
  static Result<ColumnScales> find(const Workbench& bench);

  // Told all rows of every tensor, in pieces. True: all values are finite numbers; false: who
  // knows.
  bool see(const Tensor& tensor, const Tensor& piece, ThreadTeam& team);
  // Chooses the scales of an input (Weight::input) after all tensors were seen, and factors its
  // covariance as it is with them.
  void settle(const Tensor& input, Covariance& covariance, ThreadTeam& team);

  // Of an input that has some, as they were settled, or are to be; else none.
  std::span<float> of(const Tensor& input);

  // Forgets the scales of inputs whose users are all written as they are.
  void drop_unused(const std::function<bool(const Tensor&)>& is_rounded);

  // Whether other values of this tensor are written.
  bool change(const Tensor& tensor) const {
    return users_.contains(&tensor) || makers_.contains(&tensor);
  }
  // A row as it is written.
  void scale_row(const Tensor& tensor, uint64_t row, float* values) const;
  // What each row is multiplied by.
  std::vector<float> row_scales(const Tensor& tensor) const;
  // Only what its input's scales ask of it: no row changes against another.
  void scale_columns(const Tensor& tensor, float* values) const;

 private:
  struct Input {
    const Tensor* tensor;  // Weight::input
    std::vector<const Tensor*> users, makers;
    std::span<float> scales;  // before they are settled, what is seen: sums of squared weights
    // Attention: element e of a maker is multiplied for `group` heads of head_dim columns each.
    uint64_t head_dim = 1, group = 1;

    uint64_t column_of(uint64_t element, uint64_t head = 0) const {
      return (element / head_dim * group + head) * head_dim + element % head_dim;
    }
    std::vector<float> balance(std::span<const float> squares,
                               std::span<const float> energies) const;
  };

  std::vector<Input> inputs_;
  std::map<const Tensor*, const Input*> users_, makers_;
};

}  // namespace enxuto
