#include "media/table_copula.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace enxuto {
namespace {

constexpr double kLeastShare = 1e-4;             // of what a score is taken
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
    if (column.is_bin(outcome)) return column.bin_begin(outcome);
    if (column.is_rare(outcome)) return std::numeric_limits<double>::infinity();
    return column.number(column.model().exact[outcome])
        .value_or(-std::numeric_limits<double>::infinity());
  });
  return order;
}

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

// The inverse of l l'. An entry of l below is at [i (i + 1) / 2 + j].
std::vector<double> inverse_of_product(const std::vector<double>& l, size_t n) {
  std::vector<double> inverse(n * n), product(n * n);  // of l, lower
  for (size_t j = 0; j < n; ++j)
    for (size_t i = j; i < n; ++i) {
      double sum = i == j;
      for (size_t k = j; k < i; ++k) sum -= l[i * (i + 1) / 2 + k] * inverse[k * n + j];
      inverse[i * n + j] = sum / l[i * (i + 1) / 2 + i];
    }
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j)
      for (size_t k = std::max(i, j); k < n; ++k)
        product[i * n + j] += inverse[k * n + i] * inverse[k * n + j];
  return product;
}

// A normal number of this mean and deviation between the bounds; where they are so far out that
// nothing is left there, the nearer one.
double truncated_normal(double mean, double deviation, double low, double high, double uniform) {
  const double from = normal_cdf((low - mean) / deviation),
               to = normal_cdf((high - mean) / deviation);
  if (!(to - from > 1e-12)) return std::clamp(mean, low, high);
  const double z = mean + deviation * normal_quantile(from + uniform * (to - from));
  return std::clamp(z, low, high);
}

}  // namespace

Marginal::Marginal(const Column& column)
    : column_(&column), order_(outcome_order(column)), before_(column.n_outcomes()) {
  double sum = 0;
  for (const uint32_t outcome : order_) {
    before_[outcome] = sum;
    cumulative_.push_back(sum += share(outcome));
  }
}

double Marginal::share(uint32_t outcome) const { return column_->model().shares[outcome]; }

double Marginal::score(std::string_view text) const {
  const auto outcome = column_->encode(text);
  if (!outcome) return 0;
  const auto number = column_->is_bin(*outcome) ? column_->number(text) : std::nullopt;
  const double place = number ? column_->place(*outcome, *number) : 0.5;
  return normal_quantile(
      std::clamp(before(*outcome) + share(*outcome) * place, kLeastShare, 1 - kLeastShare));
}

std::pair<uint32_t, double> Marginal::at(double share_of_all) const {
  const double upto = share_of_all * cumulative_.back();
  const auto found = std::ranges::upper_bound(cumulative_, upto) - cumulative_.begin();
  const uint32_t outcome = order_[std::min(static_cast<size_t>(found), order_.size() - 1)];
  const double width = share(outcome);
  return {outcome, width > 0 ? std::clamp((upto - before(outcome)) / width, 0.0, 1.0) : 0};
}

std::vector<float> score_correlation(const std::vector<Column>& columns,
                                     const std::vector<std::vector<std::string>>& rows) {
  const size_t n_rows = std::min(rows.size(), kMostScores / columns.size());
  std::vector<std::vector<double>> scores(columns.size());
  std::vector<float> correlation;
  for (size_t i = 0; i < columns.size(); ++i) {
    const Marginal marginal(columns[i]);
    for (size_t r = 0; r < n_rows; ++r) scores[i].push_back(marginal.score(rows[r][i]));
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
  for (const Column& column : schema.columns()) marginals_.emplace_back(column);
  factor_ = cholesky(schema.correlation(), marginals_.size());
  precision_ = inverse_of_product(factor_, marginals_.size());
}

void Copula::draw(std::mt19937_64& random, std::vector<std::string>& row) const {
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  std::vector<double> scores(marginals_.size());
  for (double& score : scores) score = normal(random);
  row.resize(scores.size());
  for (size_t c = 0; c < scores.size(); ++c) {
    double score = scores[c];
    if (!independent_) {
      score = 0;
      for (size_t k = 0; k <= c; ++k) score += factor_[c * (c + 1) / 2 + k] * scores[k];
    }
    const Column& column = schema_.columns()[c];
    const auto [outcome, place] = marginals_[c].at(normal_cdf(score));
    row[c] = column.text(outcome, column.is_rare(outcome) ? uniform(random) : place);
  }
}

void Copula::sample_within(const std::vector<Bounds>& bounds, std::mt19937_64& random,
                           std::vector<double>& scores) const {
  constexpr int kSweeps = 8;
  std::uniform_real_distribution<double> uniform;
  const size_t n = bounds.size();
  for (int sweep = 0; sweep < kSweeps; ++sweep)
    for (size_t c = 0; c < n; ++c) {
      if (bounds[c].low >= bounds[c].high) continue;
      const double* row = &precision_[c * n];
      double sum = 0;
      for (size_t k = 0; k < n; ++k) sum += k == c ? 0 : row[k] * scores[k];
      scores[c] = truncated_normal(-sum / row[c], 1 / std::sqrt(row[c]), bounds[c].low,
                                   bounds[c].high, uniform(random));
    }
}

void Copula::place(const std::vector<uint32_t>& outcomes,
                   const std::vector<std::optional<double>>& numbers, std::mt19937_64& random,
                   std::vector<std::string>& row) const {
  std::vector<Bounds> bounds;
  std::vector<double> scores;
  for (size_t c = 0; c < outcomes.size(); ++c) {
    const Column& column = schema_.columns()[c];
    const Marginal& marginal = marginals_[c];
    const double before = marginal.before(outcomes[c]), share = marginal.share(outcomes[c]);
    const bool known = numbers[c] && column.is_bin(outcomes[c]);
    const double place = known ? column.place(outcomes[c], *numbers[c]) : 0.5;
    const auto score = [](double p) {
      return normal_quantile(std::clamp(p, kLeastShare, 1 - kLeastShare));
    };
    scores.push_back(score(before + share * place));
    bounds.push_back(known ? Bounds{scores[c], scores[c]}
                           : Bounds{score(before), score(before + share)});
  }
  sample_within(bounds, random, scores);
  std::uniform_real_distribution<double> uniform;
  row.resize(outcomes.size());
  for (size_t c = 0; c < outcomes.size(); ++c) {
    const double share = marginals_[c].share(outcomes[c]);
    const double within = (normal_cdf(scores[c]) - marginals_[c].before(outcomes[c])) / share;
    const bool is_bin = schema_.columns()[c].is_bin(outcomes[c]) && share > 0;
    row[c] = schema_.columns()[c].text(outcomes[c], is_bin ? within : uniform(random));
  }
}

}  // namespace enxuto
