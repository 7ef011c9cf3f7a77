#include "media/table_copula.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace enxuto {
namespace {

constexpr size_t kMostScores = size_t{2} << 20;  // of all columns

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

// The inverse of normal_cdf, by bisection: a table's worth of outcomes is computed once.
double normal_quantile(double p) {
  double low = -8, high = 8;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (normal_cdf(middle) < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

// Outcomes from the least to the greatest: texts, then numbers. Categories stay in the order of
// how frequent they are.
std::vector<uint32_t> outcome_order(const Column& column) {
  std::vector<uint32_t> order(column.n_outcomes());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, {}, [&](uint32_t outcome) {
    if (column.is_cell(outcome)) return column.cell_begin(outcome);
    if (column.is_rare(outcome)) return std::numeric_limits<double>::infinity();
    return column.number(column.model().exact[outcome])
        .value_or(-std::numeric_limits<double>::infinity());
  });
  return order;
}

// Scores of a column's texts: a value in a cell has the score of its place.
class Scores {
 public:
  explicit Scores(const Column& column) : column_(column), before_(column.n_outcomes()) {
    double sum = 0;
    for (const uint32_t outcome : outcome_order(column)) {
      before_[outcome] = sum;
      sum += column.model().shares[outcome];
    }
  }
  double of(std::string_view text) const {
    const auto outcome = column_.encode(text);
    if (!outcome) return 0;
    const double share = column_.model().shares[*outcome];
    const auto number = column_.is_cell(*outcome) ? column_.number(text) : std::nullopt;
    const double place = number ? column_.place(*outcome, *number) : 0.5;
    return normal_quantile(std::clamp(before_[*outcome] + share * place, 1e-4, 1 - 1e-4));
  }

 private:
  const Column& column_;
  std::vector<double> before_;
};

// Less its mean and of length 1; zeros where it does not vary.
void normalize(std::vector<double>& scores) {
  double mean = 0, squares = 0;
  for (const double s : scores) mean += s / static_cast<double>(scores.size());
  for (double& s : scores) s -= mean, squares += s * s;
  for (double& s : scores) s = squares > 1e-9 ? s / std::sqrt(squares) : 0;
}

// Of 1 on the diagonal and `correlation` below. Where that is singular or no correlation at all
// the diagonal gets more, and each row is brought back to length 1.
std::vector<double> cholesky(const std::vector<float>& correlation, size_t n) {
  constexpr double kLeastPivot = 1e-6;
  std::vector<double> l(n * (n + 1) / 2);
  const auto at = [&](size_t i, size_t j) -> double& { return l[i * (i + 1) / 2 + j]; };
  for (size_t i = 0; i < n; ++i) {
    double pivot = 1;
    for (size_t j = 0; j < i; ++j) {
      double sum = correlation[i * (i - 1) / 2 + j];
      for (size_t k = 0; k < j; ++k) sum -= at(i, k) * at(j, k);
      at(i, j) = sum / at(j, j);
      pivot -= at(i, j) * at(i, j);
    }
    at(i, i) = std::sqrt(std::max(pivot, kLeastPivot));
    const double length = std::sqrt(1 - pivot + at(i, i) * at(i, i));
    for (size_t j = 0; j <= i; ++j) at(i, j) /= length;
  }
  return l;
}

}  // namespace

std::vector<float> score_correlation(const std::vector<Column>& columns,
                                     const std::vector<std::vector<std::string>>& rows) {
  const size_t n_rows = std::min(rows.size(), kMostScores / columns.size());
  std::vector<std::vector<double>> scores(columns.size());
  std::vector<float> correlation;
  for (size_t i = 0; i < columns.size(); ++i) {
    const Scores of_column(columns[i]);
    for (size_t r = 0; r < n_rows; ++r) scores[i].push_back(of_column.of(rows[r][i]));
    normalize(scores[i]);
    for (size_t j = 0; j < i; ++j) {
      double sum = 0;
      for (size_t r = 0; r < n_rows; ++r) sum += scores[i][r] * scores[j][r];
      correlation.push_back(static_cast<float>(std::clamp(sum, -1.0, 1.0)));
    }
  }
  return correlation;
}

Copula::Copula(const TableSchema& schema, bool independent)
    : schema_(schema), independent_(independent) {
  for (const Column& column : schema.columns()) {
    order_.push_back(outcome_order(column));
    double sum = 0;
    cumulative_.emplace_back();
    for (const uint32_t outcome : order_.back())
      cumulative_.back().push_back(sum += column.model().shares[outcome]);
  }
  factor_ = cholesky(schema.correlation(), schema.columns().size());
}

void Copula::draw(std::mt19937_64& random, std::vector<std::string>& row) const {
  const auto& columns = schema_.columns();
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  std::vector<double> scores(columns.size());
  for (double& score : scores) score = normal(random);
  row.resize(columns.size());
  for (size_t c = 0; c < columns.size(); ++c) {
    double score = scores[c];
    if (!independent_) {
      score = 0;
      for (size_t k = 0; k <= c; ++k) score += factor_[c * (c + 1) / 2 + k] * scores[k];
    }
    const auto& cumulative = cumulative_[c];
    const double share = normal_cdf(score) * cumulative.back();
    const auto place = std::min<ptrdiff_t>(std::ranges::upper_bound(cumulative, share) - cumulative.begin(),
                                           static_cast<ptrdiff_t>(cumulative.size()) - 1);
    const uint32_t outcome = order_[c][static_cast<size_t>(place)];
    const double before = place ? cumulative[static_cast<size_t>(place) - 1] : 0;
    const double width = cumulative[static_cast<size_t>(place)] - before;
    const double within = width > 0 ? std::clamp((share - before) / width, 0.0, 1 - 1e-12) : 0;
    row[c] = columns[c].text(outcome, columns[c].is_rare(outcome) ? uniform(random) : within);
  }
}

}  // namespace enxuto
