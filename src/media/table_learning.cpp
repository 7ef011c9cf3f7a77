#include "media/table_learning.h"

#include <algorithm>
#include <map>

#include "media/table_copula.h"
#include "media/table_profile.h"
#include "media/table_sample.h"

namespace enxuto {
namespace {

constexpr size_t kMostSampleRows = 20000;
constexpr uint64_t kMostSampleBytes = uint64_t{64} << 20;
// Few numbers, and frequent ones, have a token each.
constexpr size_t kFewNumbers = 100, kRowsOfFewNumber = 40;
constexpr double kFrequent = 0.01;
// Categories with a token each have some rows in the sample; the rest is rare.
constexpr size_t kMostCategories = 256, kMostRare = 4096, kLeastRowsOfCategory = 3;
constexpr size_t kFewCategories = 32;
// Rows of the sample that a bin and a cell should have, and the most there are.
constexpr size_t kRowsOfBin = 100, kRowsOfCell = 8, kMostBins = 16, kMostParts = 16;

using Counts = std::map<std::string, uint64_t>;
using Counted = std::pair<std::string, uint64_t>;

Counts count_texts(const SampledRows::Rows& rows, size_t column) {
  Counts counts;
  for (const auto& row : rows) ++counts[row[column]];
  return counts;
}

void learn_categories(const Counts& counts, ColumnModel& m) {
  std::vector<Counted> sorted(counts.begin(), counts.end());
  std::ranges::stable_sort(sorted, std::greater(), &Counted::second);
  size_t n = 0;
  while (n < sorted.size() && n < kMostCategories &&
         (sorted.size() <= kFewCategories || sorted[n].second >= kLeastRowsOfCategory))
    ++n;
  if (n + 1 == sorted.size()) ++n;  // one alone is no choice
  const size_t end = std::min(sorted.size(), n + kMostRare);
  uint64_t rare = 0;
  for (size_t i = n; i < end; ++i) rare += sorted[i].second;
  for (size_t i = 0; i < end; ++i) {
    if (i < n) {
      m.exact.push_back(sorted[i].first);
    } else {
      m.rare.push_back(sorted[i].first);
      m.rare_shares.push_back(static_cast<float>(sorted[i].second) / static_cast<float>(rare));
    }
  }
}

// Quantiles of sorted values between bounds, each once.
std::vector<double> quantiles(const std::vector<double>& sorted, size_t n_cells) {
  std::vector<double> knots;
  for (size_t i = 0; i <= n_cells; ++i) {
    const double knot = sorted[i * (sorted.size() - 1) / n_cells];
    if (knots.empty() || knot > knots.back()) knots.push_back(knot);
  }
  return knots;
}

// Numbers ascending, what is no number before them.
void sort_exact(const Column& reader, std::vector<std::string>& exact) {
  std::ranges::stable_sort(exact, {}, [&](const std::string& text) {
    return reader.number(text).value_or(-std::numeric_limits<double>::infinity());
  });
}

Result<Column> reader_of(ColumnModel m) {  // of texts alone
  m.exact = {""}, m.shares = {1};
  return Column::create(std::move(m));
}

Status learn_numbers(const Counts& counts, size_t n_rows, const ColumnProfile& profile,
                     ColumnModel& m) {
  ASSIGN_OR_RETURN(const Column reader, reader_of(m));
  const bool few =
      counts.size() <= std::min(kFewNumbers, std::max<size_t>(2, n_rows / kRowsOfFewNumber));
  std::vector<double> values;
  for (const auto& [text, n] : counts) {
    const auto number = reader.number(text);
    const bool frequent =
        static_cast<double>(n) >= kFrequent * static_cast<double>(n_rows) && n > 1;
    if (few || frequent || (!number && is_missing(text))) {
      m.exact.push_back(text);
    } else if (number) {
      values.insert(values.end(), n, *number);
    }
  }
  std::ranges::sort(values);
  if (values.size() > 1 && values.front() < values.back()) {
    const size_t bins = std::clamp<size_t>(values.size() / kRowsOfBin, 8, kMostBins);
    m.parts = static_cast<uint32_t>(
        std::clamp<size_t>(values.size() / (bins * kRowsOfCell), 1, kMostParts));
    m.knots = quantiles(values, bins * m.parts);
    m.knots.front() = std::min(m.knots.front(), profile.least());
    m.knots.back() = std::max(m.knots.back(), profile.most());
  } else if (!values.empty()) {
    m.exact.push_back(reader.text_of(values[0]));
  }
  sort_exact(reader, m.exact);
  return {};
}

// How frequent each outcome is in the sample.
Result<Column> with_shares(ColumnModel m, const Counts& counts) {
  const size_t n_cells = m.knots.empty() ? 0 : m.knots.size() - 1;
  const size_t n_outcomes = m.exact.size() + !m.rare.empty() + (n_cells + m.parts - 1) / m.parts;
  m.shares.assign(n_outcomes, 0);
  ASSIGN_OR_RETURN(const Column column, Column::create(m));
  uint64_t n = 0;
  std::vector<uint64_t> found(n_outcomes);
  for (const auto& [text, count] : counts)
    if (const auto outcome = column.encode(text)) found[*outcome] += count, n += count;
  for (size_t i = 0; i < n_outcomes; ++i)
    m.shares[i] = static_cast<float>(found[i]) / static_cast<float>(std::max<uint64_t>(n, 1));
  return Column::create(std::move(m));
}

Result<Column> learn_column(const std::string& name, const ColumnProfile& profile,
                            const SampledRows::Rows& rows, size_t column) {
  ColumnModel m;
  m.name = name;
  profile.describe(m);
  const Counts counts = count_texts(rows, column);
  if (m.kind == ColumnKind::kCategory) {
    learn_categories(counts, m);
  } else {
    TRY(learn_numbers(counts, rows.size(), profile, m));
  }
  return with_shares(std::move(m), counts);
}

}  // namespace

Result<LearnedTable> learn_table(const CodecRequest& request, const Progress& progress) {
  TableRows table(request.paths);
  SampledRows sample(kMostSampleRows,
                     std::min(kMostSampleBytes, std::max<uint64_t>(request.memory_bytes / 4, 1)),
                     request.seed);
  std::vector<ColumnProfile> profiles;
  TRY(table.read(progress, "reading the table", [&](const CsvRow& row) {
    profiles.resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) profiles[i].add(row[i]);
    sample.add(row);
    return Status();
  }));
  LearnedTable learned;
  learned.delimiter = table.delimiter();
  for (size_t i = 0; i < profiles.size(); ++i) {
    ASSIGN_OR_RETURN(Column column, learn_column(table.names()[i], profiles[i], sample.rows(), i));
    learned.columns.push_back(std::move(column));
  }
  learned.correlation = score_correlation(learned.columns, sample.rows());
  return learned;
}

}  // namespace enxuto
