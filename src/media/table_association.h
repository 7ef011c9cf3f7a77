// Tables as numbers, and how much a column tells of another.
#pragma once

#include <unordered_map>

#include "media/table_schema.h"

namespace enxuto {

struct CodedColumn {
  bool is_number = false;
  std::vector<double> values;  // of categories their index; of numbers NaN where one is missing
};

struct CodedTable {
  size_t n_rows = 0;
  std::vector<CodedColumn> columns;
};

// The same category has the same index in all tables that it codes.
class TableCoder {
 public:
  explicit TableCoder(const TableSchema& schema);
  CodedTable code(const std::vector<std::vector<std::string>>& rows);
  const std::vector<std::string>& names(size_t column) const { return names_[column]; }

 private:
  double code(size_t column, const std::string& text);
  const TableSchema& schema_;
  std::vector<std::unordered_map<std::string, size_t>> indices_;
  std::vector<std::vector<std::string>> names_;
};

// Numbers: Pearson's correlation, in [-1, 1]. A number and a category: the correlation ratio.
// Categories: Cramér's V. Rows with a missing number are left out; 0 where a column is constant.
double association(const CodedColumn& a, const CodedColumn& b);

}  // namespace enxuto
