// Which columns of a matrix can go, and what the others become to make up for them, by the second
// moments H of the matrix's input.
//
//   loss of changing W to W' = tr((W - W') H (W - W')'),  H damped
//
// The unit whose removal costs least goes, the columns that stay are corrected so that the loss is
// the least there can be, and so on: the Optimal Brain Surgeon (Hassibi & Stork, 1993) for whole
// columns (ZipLM: Kurtic et al., 2023). After each step the matrix is the least-squares fit of what
// is left. A wide input is seen in diagonal blocks (covariance.h); units compete across them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compress/covariance.h"
#include "platform/threads.h"

namespace enxuto {

class ColumnRemoval {
 public:
  // Units of so many neighbouring columns; none lies in two blocks. covariance: not factored; its
  // memory becomes H's inverse. weights (rows, columns): changed as columns go. scratch:
  // removal_scratch() floats (plan/pruning_plan.h).
  ColumnRemoval(ThreadTeam& team, Covariance& covariance, std::span<float> weights, int64_t rows,
                int64_t unit, std::span<float> scratch);

  // Before any column goes: the matrix also makes up for a part of what else is missing after it.
  // moments (rows, columns): of that and the input, C = sum of weight * missing x'.
  void make_up_for(std::span<const float> moments, float part);
  // The loss of removing all of them, before any is.
  double energy() const { return energy_; }
  // Removes units until `count` of them are left, and says what that loses in all.
  double keep(int64_t count);
  // Ascending.
  std::vector<uint32_t> kept() const;
  // The columns, ascending.
  std::vector<uint32_t> kept_columns() const;

 private:
  struct Candidate {
    double loss;
    int64_t unit;
  };
  void invert(const CovarianceBlock& block);
  double energy_of(const CovarianceBlock& block) const;
  void score_columns(std::vector<Candidate>& candidates);
  void score_unit(int64_t u, std::vector<Candidate>& candidates);
  void remove(const CovarianceBlock& block, std::vector<int64_t> columns);
  const CovarianceBlock& block_of(int64_t column) const;

  ThreadTeam& team_;
  Covariance& covariance_;
  const Dense& dense_;
  std::span<float> weights_;
  int64_t rows_, columns_, unit_;
  std::span<float> scratch_;
  double energy_ = 0, lost_ = 0;
  std::vector<bool> gone_;  // per unit
  int64_t left_;
};

}  // namespace enxuto
