// The classical ways to simulate a table, kept in the model beside its network: columns drawn
// independently, or through a Gaussian copula: each column is the quantile function of a normal
// score, and the scores are correlated (Sklar 1959; Nelsen, An Introduction to Copulas, 2006).
#pragma once

#include <random>

#include "media/table_schema.h"

namespace enxuto {

// The lower triangle of the correlations of the columns' normal scores, row by row, without the
// diagonal. Outcomes that are a range of scores count with the middle of it. `rows`, in a
// random order, have a text for each column.
std::vector<float> score_correlation(const std::vector<Column>& columns,
                                     const std::vector<std::vector<std::string>>& rows);

class Copula {
 public:
  // independent: of the correlations nothing is used.
  Copula(const TableSchema& schema, bool independent);
  // A text for each column.
  void draw(std::mt19937_64& random, std::vector<std::string>& row) const;

 private:
  const TableSchema& schema_;
  bool independent_;
  std::vector<std::vector<uint32_t>> order_;    // of each column's outcomes
  std::vector<std::vector<double>> cumulative_; // shares up to and with each, in that order
  std::vector<double> factor_;                  // Cholesky's, lower triangle with the diagonal
};

}  // namespace enxuto
