// A column of a table as tokens, and back. What it can say are outcomes, a token or two each:
//
// exact texts: categories, missing values, numbers that are frequent or few | a rare text, where
// there are some (one of them is drawn) | cells of numbers: between two neighbours of `knots`,
// which are quantiles of the column. A cell is a token of its bin and, where bins have several
// parts, one of its place in there.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "media/table_numbers.h"
#include "tokenizer/tokenizer.h"

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
  uint32_t parts = 1;              // cells of a bin
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
  uint32_t first_cell() const { return n_exact() + (model_.rare.empty() ? 0 : 1); }
  uint32_t n_cells() const {
    return model_.knots.empty() ? 0 : static_cast<uint32_t>(model_.knots.size() - 1);
  }
  uint32_t n_outcomes() const { return first_cell() + n_cells(); }
  uint32_t n_bins() const { return (n_cells() + model_.parts - 1) / model_.parts; }
  // Tokens are numbered from 0 in the column: first_cell() + n_bins() that begin an outcome, and
  // those of parts.
  uint32_t n_first_tokens() const { return first_cell() + n_bins(); }
  uint32_t n_tokens() const { return n_first_tokens() + (has_parts() ? model_.parts : 0); }
  bool has_parts() const { return model_.parts > 1 && n_cells() > 0; }
  uint32_t most_tokens() const { return has_parts() ? 2 : 1; }  // of an outcome
  bool begins_cell(uint32_t token) const { return token >= first_cell(); }
  uint32_t parts_of(uint32_t token) const;  // of the bin that this token begins

  struct Tokens {
    uint32_t first = 0;
    std::optional<uint32_t> second;
  };
  Tokens tokens(uint32_t outcome) const;
  uint32_t outcome(const Tokens& tokens) const;

  // What a text of the file is; nothing: a column of numbers has no such.
  std::optional<uint32_t> encode(std::string_view text) const;
  // Place in [0, 1): where in a cell, which of the rare.
  std::string text(uint32_t outcome, double place) const;
  // Numbers and dates; nothing: a missing value, or a text.
  std::optional<double> number(std::string_view text) const;
  std::string text_of(double number) const;
  // Where a value lies in its cell.
  double place(uint32_t outcome, double number) const;
  double cell_begin(uint32_t outcome) const { return model_.knots[outcome - first_cell()]; }
  double cell_end(uint32_t outcome) const { return model_.knots[outcome - first_cell() + 1]; }
  bool is_cell(uint32_t outcome) const { return outcome >= first_cell(); }
  bool is_rare(uint32_t outcome) const { return outcome == n_exact() && !is_cell(outcome); }

 private:
  explicit Column(ColumnModel model) : model_(std::move(model)) {}
  Status check() const;
  void index();
  std::optional<uint32_t> nearest_exact(double number) const;

  ColumnModel model_;
  std::unordered_map<std::string, uint32_t> index_;  // exact and rare texts
  std::vector<std::optional<double>> exact_numbers_;
};

}  // namespace enxuto
