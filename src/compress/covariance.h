// Second moments of a linear layer's input, and their factor: what rounding with error feedback
// looks at.
//
//   H = sum over tokens of weight * x x'      (columns, columns)
//   H + damping = (I + U) D (I + U)'          U strictly upper triangular, D diagonal
//
// Of wide inputs the diagonal blocks alone (plan/compression_plan.h).
//
// The loss of an error e of one row is e' H e. Rounding column after column, with U handing the
// error of each to those after it, is LDLQ (Chee et al., "QuIP", 2023), which is GPTQ in another
// form (Frantar et al., 2022).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/dense.h"
#include "plan/compression_plan.h"
#include "platform/threads.h"

namespace enxuto {

// What is added to the diagonal, as a part of its mean: what few tokens say of many columns is
// half chance, and rounding must not lean on it.
double damping_for(int64_t columns, double tokens);

// A column that carries less than this part of the mean tells nothing about others.
inline constexpr double kLeastEnergy = 1e-8;

// Squares of each token's numbers, added up. x: (n_tokens, columns), rows x_stride floats apart.
std::vector<double> token_energies(ThreadTeam& team, const float* x, int64_t x_stride,
                                   int64_t n_tokens, int64_t columns);
// How much each token counts, so that none carries more than `most`: 1, or less.
std::vector<float> cap_energies(std::span<const double> energies, double most);

// One diagonal block, of columns [begin, begin + n) of the input.
struct CovarianceBlock {
  int64_t begin, n;
  float* matrix;       // (n, n): H on and below the diagonal; above it, U once factored
  float* conditional;  // (n): D once factored: what is left of a column's energy when those after
                       // it are known
};

class Covariance {
 public:
  // memory: covariance_bytes(columns, most), as another one of as many columns left it.
  Covariance(const Dense& dense, int64_t columns, std::span<float> memory,
             uint64_t most = kCovarianceColumns);

  // Of no tokens.
  void clear();
  // x: (n_tokens, columns), rows x_stride floats apart; weights: (n_tokens), none negative.
  void add(ThreadTeam& team, const float* x, int64_t x_stride, int64_t n_tokens,
           const float* weights);
  // Mean squares of the columns, before it is factored.
  void mean_squares(std::span<float> mean) const;
  // As if their mean had been taken off all inputs: sums (columns) of weight * x. Before it is
  // factored.
  void center(ThreadTeam& team, std::span<const double> sums);
  // What the columns have in common stays; what each carries becomes as given (columns; none 0),
  // up to one factor for all, which keeps H's trace. Before it is factored.
  void set_energies(ThreadTeam& team, std::span<const float> energies);
  // H's diagonal, and D once it is factored.
  void diagonal(std::span<float> values) const;
  std::span<const float> conditional() const {
    return memory_.first(static_cast<size_t>(columns_));
  }
  // Once, after the last add: damped for the tokens that were seen, or as given.
  void factor(ThreadTeam& team, std::optional<double> damping = std::nullopt);
  // As if column c of all inputs had been multiplied by scales[c], factored or not.
  void scale(ThreadTeam& team, std::span<const float> scales);

  int64_t columns() const { return columns_; }
  double tokens() const { return weight_; }  // that were added, by their weights
  const std::vector<CovarianceBlock>& blocks() const { return blocks_; }
  const Dense& dense() const { return dense_; }
  std::span<float> memory() { return memory_; }

 private:
  Dense dense_;
  int64_t columns_;
  std::span<float> memory_;
  std::vector<float> scaled_;
  double weight_ = 0;  // of all tokens
  std::vector<CovarianceBlock> blocks_;
};

}  // namespace enxuto
