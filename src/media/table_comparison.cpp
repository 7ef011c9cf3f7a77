#include "media/table_comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "media/table_association.h"
#include "media/table_sample.h"

namespace enxuto {
namespace {

constexpr size_t kMostRows = 20000, kMostNearRows = 1000, kMostSearchedRows = 5000;
constexpr uint64_t kMostBytes = uint64_t{64} << 20, kSeed = 1;

Result<SampledRows> sample_of(const std::string& path, const TableSchema& schema,
                              const Progress& progress) {
  TableRows table({path}, schema.names());
  SampledRows sample(kMostRows, kMostBytes, kSeed);
  TRY(table.read(progress, "comparing", [&](const CsvRow& row) {
    sample.add(row);
    return Status();
  }));
  return sample;
}

std::string joined(std::span<const std::string_view> row) {
  std::string all;
  for (const std::string_view field : row) {
    all += field;
    all += '\0';
  }
  return all;
}

std::unordered_set<std::string> whole_rows(const SampledRows& sample) {
  std::unordered_set<std::string> rows;
  for (const auto& row : sample.rows()) {
    const CsvRow views(row.begin(), row.end());
    rows.insert(joined(views));
  }
  return rows;
}

// Share of the sample's rows that the file has, all of which is looked at.
Result<double> copied_share(const SampledRows& sample, const std::string& path) {
  std::unordered_set<std::string> wanted = whole_rows(sample), found;
  TableRows table({path});
  TRY(table.read({}, "", [&](const CsvRow& row) {
    std::string whole = joined(row);
    if (wanted.contains(whole)) found.insert(std::move(whole));
    return Status();
  }));
  size_t copied = 0;
  for (const auto& row : sample.rows()) {
    const CsvRow views(row.begin(), row.end());
    copied += found.contains(joined(views));
  }
  return static_cast<double>(copied) / static_cast<double>(sample.rows().size());
}

// Distributions of one column.
double kolmogorov_smirnov(std::vector<double> a, std::vector<double> b) {
  if (a.empty() || b.empty()) return a.empty() == b.empty() ? 0 : 1;
  std::ranges::sort(a);
  std::ranges::sort(b);
  double most = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const double value = std::min(a[i], b[j]);
    while (i < a.size() && a[i] <= value) ++i;
    while (j < b.size() && b[j] <= value) ++j;
    most = std::max(most, std::abs(static_cast<double>(i) / static_cast<double>(a.size()) -
                                   static_cast<double>(j) / static_cast<double>(b.size())));
  }
  return most;
}

std::vector<double> present(const std::vector<double>& values) {
  std::vector<double> found;
  std::ranges::copy_if(values, std::back_inserter(found), [](double v) { return !std::isnan(v); });
  return found;
}

double missing_share(const CodedColumn& column) {
  return 1 - static_cast<double>(present(column.values).size()) /
                 static_cast<double>(column.values.size());
}

std::vector<double> shares_of_bars(const std::vector<double>& values,
                                   const std::vector<double>& bounds) {
  std::vector<double> shares(bounds.size() - 1);
  for (const double v : values) {
    const auto above = std::ranges::upper_bound(bounds, v) - bounds.begin();
    const auto bar = std::clamp<ptrdiff_t>(above - 1, 0, static_cast<ptrdiff_t>(shares.size()) - 1);
    shares[static_cast<size_t>(bar)] += 1 / static_cast<double>(values.size());
  }
  return shares;
}

void compare_numbers(const Column& column, const CodedColumn& real, const CodedColumn& made,
                     ColumnComparison& c) {
  const std::vector<double> of_real = present(real.values), of_made = present(made.values);
  c.distance =
      std::max(kolmogorov_smirnov(of_real, of_made), std::abs(c.real_missing - c.made_missing));
  if (of_real.empty() || of_made.empty()) return;
  const auto [least, most] = std::ranges::minmax(of_real);
  if (least == most) return;
  std::vector<double> bounds;
  for (size_t i = 0; i <= kMostBars; ++i)
    bounds.push_back(least + (most - least) * static_cast<double>(i) / kMostBars);
  for (size_t i = 0; i < kMostBars; ++i) c.labels.push_back("from " + column.text_of(bounds[i]));
  c.real = shares_of_bars(of_real, bounds);
  c.made = shares_of_bars(of_made, bounds);
}

void compare_categories(const CodedColumn& real, const CodedColumn& made,
                        const std::vector<std::string>& names, ColumnComparison& c) {
  std::vector<double> of_real(names.size()), of_made(names.size());
  for (const double v : real.values)
    of_real[static_cast<size_t>(v)] += 1 / static_cast<double>(real.values.size());
  for (const double v : made.values)
    of_made[static_cast<size_t>(v)] += 1 / static_cast<double>(made.values.size());
  for (size_t i = 0; i < names.size(); ++i) c.distance += std::abs(of_real[i] - of_made[i]) / 2;
  std::vector<size_t> order(names.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return of_real[i]; });
  order.resize(std::min(order.size(), kMostBars));
  for (const size_t i : order)
    c.labels.push_back(names[i]), c.real.push_back(of_real[i]), c.made.push_back(of_made[i]);
}

// Distances between rows.
class RowDistance {
 public:
  explicit RowDistance(const CodedTable& real) {
    for (const CodedColumn& column : real.columns) {
      std::vector<double> sorted = present(column.values);
      std::ranges::sort(sorted);
      const double range =
          sorted.empty() ? 0 : sorted[sorted.size() * 19 / 20] - sorted[sorted.size() / 20];
      scale_.push_back(!column.is_number ? 0 : range > 0 ? 1 / range : 1);
    }
  }
  // Nothing is above `most`.
  double between(const CodedTable& a, size_t i, const CodedTable& b, size_t j, double most) const {
    const auto n = static_cast<double>(scale_.size());
    double sum = 0;
    for (size_t c = 0; c < scale_.size() && sum < most * n; ++c)
      sum += of_column(scale_[c], a.columns[c].values[i], b.columns[c].values[j]);
    return sum / n;
  }

 private:
  static double of_column(double scale, double a, double b) {
    if (scale > 0 && !std::isnan(a) && !std::isnan(b))
      return std::min(1.0, std::abs(a - b) * scale);
    return a == b || (std::isnan(a) && std::isnan(b)) ? 0 : 1;
  }
  std::vector<double> scale_;  // 0: of categories
};

NearestRows nearest_rows(const CodedTable& rows, const CodedTable& real) {
  const RowDistance distance(real);
  std::vector<double> nearest;
  for (size_t i = 0; i < std::min(rows.n_rows, kMostNearRows); ++i) {
    double least = 1;
    for (size_t j = 0; j < std::min(real.n_rows, kMostSearchedRows); ++j)
      least = std::min(least, distance.between(rows, i, real, j, least));
    nearest.push_back(least);
  }
  std::ranges::sort(nearest);
  NearestRows found;
  found.median = nearest[nearest.size() / 2];
  found.fifth_percentile = nearest[nearest.size() / 20];
  return found;
}

void compare_pairs(const TableSchema& schema, const CodedTable& real, const CodedTable& made,
                   TableComparison& all) {
  for (size_t i = 0; i < schema.columns().size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      all.pairs.push_back({schema.columns()[j].name(), schema.columns()[i].name(),
                           association(real.columns[j], real.columns[i]),
                           association(made.columns[j], made.columns[i])});
      all.mean_pair_difference += std::abs(all.pairs.back().real - all.pairs.back().made);
    }
  if (!all.pairs.empty()) all.mean_pair_difference /= static_cast<double>(all.pairs.size());
  std::ranges::stable_sort(all.pairs, std::greater(),
                           [](const PairComparison& p) { return std::abs(p.real - p.made); });
}

}  // namespace

Result<TableComparison> compare_tables(const TableSchema& schema, const std::string& made,
                                       const std::string& real, const std::string& held,
                                       const Progress& progress) {
  ASSIGN_OR_RETURN(const SampledRows real_rows, sample_of(real, schema, progress));
  ASSIGN_OR_RETURN(const SampledRows made_rows, sample_of(made, schema, progress));
  TableComparison all;
  all.real_rows = real_rows.seen(), all.made_rows = made_rows.seen();
  TableCoder coder(schema);
  const CodedTable of_real = coder.code(real_rows.rows()), of_made = coder.code(made_rows.rows());
  for (size_t c = 0; c < schema.columns().size(); ++c) {
    const Column& column = schema.columns()[c];
    ColumnComparison& one = all.columns.emplace_back();
    one.name = column.name(), one.kind = kind_name(column);
    one.real_missing = missing_share(of_real.columns[c]);
    one.made_missing = missing_share(of_made.columns[c]);
    if (column.is_number())
      compare_numbers(column, of_real.columns[c], of_made.columns[c], one);
    else
      compare_categories(of_real.columns[c], of_made.columns[c], coder.names(c), one);
    all.mean_distance += one.distance / static_cast<double>(schema.columns().size());
  }
  compare_pairs(schema, of_real, of_made, all);
  all.made = nearest_rows(of_made, of_real);
  ASSIGN_OR_RETURN(all.made.copied, copied_share(made_rows, real));
  if (held.empty()) return all;
  ASSIGN_OR_RETURN(const SampledRows held_rows, sample_of(held, schema, progress));
  all.held_rows = held_rows.seen();
  all.held = nearest_rows(coder.code(held_rows.rows()), of_real);
  ASSIGN_OR_RETURN(all.held->copied, copied_share(held_rows, real));
  return all;
}

}  // namespace enxuto
