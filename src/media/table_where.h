// Conditions on the rows to be made: "sex=Female", "age>40", "income!=NA".
#pragma once

#include "media/table_schema.h"

namespace enxuto {

class Condition {
 public:
  // COLUMN, one of = != < <= > >=, and a value. kUsage where the table has no such column or can
  // have no such value; categories know only = and !=.
  static Result<Condition> parse(std::string_view text, const TableSchema& schema);

  size_t column() const { return column_; }
  bool is_equality() const { return kind_ == Kind::kEqual; }
  const std::string& value() const { return value_; }  // as written
  // Of a row's text in that column.
  bool holds(std::string_view text) const;
  // Whether an outcome may have texts for which it holds.
  bool may_hold(uint32_t outcome) const;

 private:
  enum class Kind { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };
  Condition(const TableSchema& schema, size_t column) : schema_(&schema), column_(column) {}
  const Column& of() const { return schema_->columns()[column_]; }
  Status check();
  bool compare(double number) const;

  const TableSchema* schema_;  // outlives it
  size_t column_;
  Kind kind_ = Kind::kEqual;
  std::string value_;
  std::optional<double> number_;
};

}  // namespace enxuto
