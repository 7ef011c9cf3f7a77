// How like a real table a simulated one is, and whether it gives away rows: of samples of both,
// in bounded memory.
#pragma once

#include "base/progress.h"
#include "media/table_schema.h"

namespace enxuto {

struct ColumnComparison {
  std::string name;
  std::string_view kind;
  // Total variation of categories (half the sum of what shares are apart), Kolmogorov-Smirnov's
  // statistic of numbers and dates; missing values count as one more category. 0: the same, 1:
  // nothing in common.
  double distance = 0;
  double real_missing = 0, made_missing = 0;  // shares
  std::vector<std::string> labels;            // of what follows: categories, or ranges
  std::vector<double> real, made;             // shares, at most kMostBars
};
inline constexpr size_t kMostBars = 16;

// Of two columns: correlation of numbers (Pearson), correlation ratio of numbers and categories,
// Cramér's V of categories.
struct PairComparison {
  std::string first, second;
  double real = 0, made = 0;
};

// Distance of two rows: the mean over columns of 0 or 1 for categories, and of how far numbers are
// apart in units of the middle 90 % of the real ones, 1 at most (Gower, 1971).
struct NearestRows {
  double median = 0, fifth_percentile = 0;  // of the distances to the nearest real row
  double copied = 0;                        // share that has all fields of a real row
};

struct TableComparison {
  uint64_t real_rows = 0, made_rows = 0, held_rows = 0;
  std::vector<ColumnComparison> columns;
  double mean_distance = 0;
  std::vector<PairComparison> pairs;  // the farthest apart first
  double mean_pair_difference = 0;
  NearestRows made;
  std::optional<NearestRows> held;  // of rows that nothing was learned from: what is natural
};

// made: a file of the schema; real: what was learned from; held: other rows of that kind, or
// empty. kBadInput where a file has other columns.
Result<TableComparison> compare_tables(const TableSchema& schema, const std::string& made,
                                       const std::string& real, const std::string& held,
                                       const Progress& progress);

}  // namespace enxuto
