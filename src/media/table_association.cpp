#include "media/table_association.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace enxuto {
namespace {

constexpr size_t kMostCategories = 64;  // those that come later count as one

size_t category(double value) { return std::min(static_cast<size_t>(value), kMostCategories - 1); }

double pearson(const std::vector<double>& a, const std::vector<double>& b) {
  double n = 0, mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) || std::isnan(b[i])) continue;
    ++n;
    const double from_a = a[i] - mean_a, from_b = b[i] - mean_b;
    mean_a += from_a / n, mean_b += from_b / n;
    aa += from_a * (a[i] - mean_a), bb += from_b * (b[i] - mean_b);
    ab += from_a * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

double correlation_ratio(const std::vector<double>& categories, const std::vector<double>& values) {
  std::vector<double> sums(kMostCategories), counts(kMostCategories);
  double n = 0, sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) continue;
    sums[category(categories[i])] += values[i], ++counts[category(categories[i])];
    sum += values[i], ++n;
  }
  if (n == 0) return 0;
  double between = 0, total = 0;
  for (const double v : values)
    if (!std::isnan(v)) total += (v - sum / n) * (v - sum / n);
  for (size_t c = 0; c < kMostCategories; ++c)
    if (counts[c] > 0) between += counts[c] * std::pow(sums[c] / counts[c] - sum / n, 2);
  return total > 0 ? std::sqrt(between / total) : 0;
}

double cramers_v(const std::vector<double>& a, const std::vector<double>& b) {
  constexpr size_t n = kMostCategories;
  std::vector<double> counts(n * n), of_a(n), of_b(n);
  for (size_t i = 0; i < a.size(); ++i) {
    const size_t x = category(a[i]), y = category(b[i]);
    ++counts[x * n + y], ++of_a[x], ++of_b[y];
  }
  double chi_squared = 0;
  for (size_t x = 0; x < n; ++x)
    for (size_t y = 0; y < n; ++y) {
      const double expected = of_a[x] * of_b[y] / static_cast<double>(a.size());
      if (expected > 0) chi_squared += std::pow(counts[x * n + y] - expected, 2) / expected;
    }
  const auto present = [](const std::vector<double>& some) {
    return std::ranges::count_if(some, [](double c) { return c > 0; });
  };
  const auto smaller = static_cast<double>(std::min(present(of_a), present(of_b)));
  return smaller > 1 ? std::sqrt(chi_squared / (static_cast<double>(a.size()) * (smaller - 1))) : 0;
}

}  // namespace

TableCoder::TableCoder(const TableSchema& schema)
    : schema_(schema), indices_(schema.columns().size()), names_(schema.columns().size()) {}

double TableCoder::code(size_t column, const std::string& text) {
  const Column& of = schema_.columns()[column];
  if (of.is_number()) return of.number(text).value_or(std::numeric_limits<double>::quiet_NaN());
  const auto [found, is_new] = indices_[column].emplace(text, names_[column].size());
  if (is_new) names_[column].push_back(text);
  return static_cast<double>(found->second);
}

CodedTable TableCoder::code(const std::vector<std::vector<std::string>>& rows) {
  CodedTable table{rows.size(), {}};
  for (size_t c = 0; c < schema_.columns().size(); ++c) {
    CodedColumn& column = table.columns.emplace_back();
    column.is_number = schema_.columns()[c].is_number();
    for (const auto& row : rows) column.values.push_back(code(c, row[c]));
  }
  return table;
}

double association(const CodedColumn& a, const CodedColumn& b) {
  if (a.is_number && b.is_number) return pearson(a.values, b.values);
  if (!a.is_number && !b.is_number) return cramers_v(a.values, b.values);
  return a.is_number ? correlation_ratio(b.values, a.values)
                     : correlation_ratio(a.values, b.values);
}

}  // namespace enxuto
