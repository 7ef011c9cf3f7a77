// The classical ways to simulate a table, kept in the model beside its network: columns drawn
// independently, or through a Gaussian copula: each column is the quantile function of a normal
// score, and the scores are correlated (Sklar 1959; Nelsen, An Introduction to Copulas, 2006).
//
// Where the network says the bins, the copula says where in them numbers lie: scores of that
// correlation, each within the bounds of its outcome, drawn by Gibbs sampling (Geweke 1991).
#pragma once

#include <random>

#include "media/table_schema.h"

namespace enxuto {

// The lower triangle of the correlations of the columns' normal scores, row by row, without the
// diagonal. Outcomes that are a range of scores count with the middle of it. `rows`, in a
// random order, have a text for each column.
std::vector<float> score_correlation(const std::vector<Column>& columns,
                                     const std::vector<std::vector<std::string>>& rows);

// A column's outcomes in order, and the shares up to each.
class Marginal {
 public:
  explicit Marginal(const Column& column);
  double before(uint32_t outcome) const { return before_[outcome]; }
  double share(uint32_t outcome) const;
  double score(std::string_view text) const;
  // That of a share in [0, 1], and the place in it.
  std::pair<uint32_t, double> at(double share) const;

 private:
  const Column* column_;
  std::vector<uint32_t> order_;
  std::vector<double> before_;      // of each outcome
  std::vector<double> cumulative_;  // in order
};

class Copula {
 public:
  // The schema outlives it. independent: of the correlations nothing is used.
  Copula(const TableSchema& schema, bool independent);
  // A text for each column.
  void draw(std::mt19937_64& random, std::vector<std::string>& row) const;
  // Texts of these outcomes; numbers: those that are known already.
  void place(const std::vector<uint32_t>& outcomes,
             const std::vector<std::optional<double>>& numbers, std::mt19937_64& random,
             std::vector<std::string>& row) const;

 private:
  struct Bounds {
    double low, high;  // scores
  };
  void sample_within(const std::vector<Bounds>& bounds, std::mt19937_64& random,
                     std::vector<double>& scores) const;

  const TableSchema& schema_;
  bool independent_;
  std::vector<Marginal> marginals_;
  std::vector<double> factor_;     // Cholesky's, lower triangle with the diagonal
  std::vector<double> precision_;  // the inverse of the correlations, whole
};

}  // namespace enxuto
