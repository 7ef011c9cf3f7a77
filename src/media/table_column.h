// A column of a table as tokens, and back. What it can say are outcomes, a token each:
//
// exact texts: categories, missing values, numbers that are frequent or few | a rare text, where
// there are some (one of them is drawn) | bins of numbers. A bin is `parts` cells, each between two
// neighbours of `knots`, which are quantiles of the column. Where in a bin a number lies is no
// token: there are few rows to learn that from, and a copula knows it (table_copula.h).
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "media/table_numbers.h"

namespace enxuto {

enum class ColumnKind { kCategory, kNumber, kDate };

// What a column was found to be; all of it travels in the model's metadata.
struct ColumnModel {
  std::string name;
  ColumnKind kind = ColumnKind::kCategory;
  NumberFormat format;
  std::string date_pattern;
  double step = 0;                 // numbers are multiples of it from the least on; 0: any
  std::vector<std::string> exact;  // numbers ascending, what is no number before them
  std::vector<std::string> rare;
  std::vector<float> rare_shares;  // among those
  std::vector<double> knots;       // ascending, the least and the most value included
  uint32_t parts = 1;              // cells of a bin; the last one may have fewer
  std::vector<float> shares;       // of each outcome
};

class Column {
 public:
  // kBadInput where the model is not sound: what is said of it in a file is untrusted.
  static Result<Column> create(ColumnModel model);

  const ColumnModel& model() const { return model_; }
  const std::string& name() const { return model_.name; }
  bool is_number() const { return model_.kind != ColumnKind::kCategory; }  // or a date

  uint32_t n_exact() const { return static_cast<uint32_t>(model_.exact.size()); }
  uint32_t first_bin() const { return n_exact() + (model_.rare.empty() ? 0 : 1); }
  uint32_t n_cells() const {
    return model_.knots.empty() ? 0 : static_cast<uint32_t>(model_.knots.size() - 1);
  }
  uint32_t n_bins() const { return (n_cells() + model_.parts - 1) / model_.parts; }
  uint32_t n_outcomes() const { return first_bin() + n_bins(); }
  bool is_bin(uint32_t outcome) const { return outcome >= first_bin(); }
  bool is_rare(uint32_t outcome) const { return outcome == n_exact() && !is_bin(outcome); }
  double bin_begin(uint32_t outcome) const { return model_.knots[first_cell(outcome)]; }
  double bin_end(uint32_t outcome) const { return model_.knots[end_cell(outcome)]; }

  // What a text of the file is; nothing: a column of numbers has no such.
  std::optional<uint32_t> encode(std::string_view text) const;
  // Place in [0, 1): where in a bin, which of the rare.
  std::string text(uint32_t outcome, double place) const;
  // Numbers and dates; nothing: a missing value, or a text.
  std::optional<double> number(std::string_view text) const;
  std::string text_of(double number) const;
  // Where in a bin a number lies, in shares of the column's rows in there.
  double place(uint32_t outcome, double number) const;

 private:
  explicit Column(ColumnModel model) : model_(std::move(model)) {}
  Status check() const;
  void index();
  uint32_t first_cell(uint32_t outcome) const { return (outcome - first_bin()) * model_.parts; }
  uint32_t end_cell(uint32_t outcome) const {
    return std::min(first_cell(outcome) + model_.parts, n_cells());
  }
  uint32_t cell_of(double number) const;
  std::optional<uint32_t> nearest_exact(double number) const;

  ColumnModel model_;
  std::unordered_map<std::string, uint32_t> index_;  // exact and rare texts
  std::vector<std::optional<double>> exact_numbers_;
};

}  // namespace enxuto
