// A table as a model knows it: its columns, how they depend on each other at most simply (a
// Gaussian copula), and how all that lies in the model's metadata:
//
// enxuto.media.table.delimiter, .columns (u32), .correlation (f32[], the lower triangle of the
// normal scores' correlations, row by row without the diagonal), and of each column N from 0:
// .N.name, .N.kind, .N.format (strings), .N.step, .N.exact, .N.rare, .N.knots (strings; numbers
// as their shortest text), .N.rare_shares, .N.shares (f32[]), .N.parts (u32)
//
// Tokens: <|endoftext|> begins a row. After the base vocabulary's come those of column 0, then of
// column 1 …: one that says that the column comes next, and those of its outcomes.
#pragma once

#include "formats/gguf.h"
#include "media/table_column.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

inline constexpr uint32_t kMostColumns = 1024;

class TableSchema {
 public:
  // Appends the columns' tokens to `vocabulary` (media_vocabulary.h).
  static TableSchema create(std::vector<Column> columns, std::vector<float> correlation,
                            char delimiter, Metadata& vocabulary);
  static Result<TableSchema> open(const Metadata& metadata);
  void save(Metadata& metadata) const;

  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<float>& correlation() const { return correlation_; }
  char delimiter() const { return delimiter_; }
  Token row_token() const { return row_token_; }
  Token token(size_t column, uint32_t outcome) const {
    return first_tokens_[column] + 1 + static_cast<Token>(outcome);
  }
  Token marker(size_t column) const { return first_tokens_[column]; }
  size_t vocabulary() const { return vocabulary_; }
  // Of a row, with the token that begins it.
  uint32_t row_tokens() const { return static_cast<uint32_t>(2 * columns_.size()) + 1; }
  std::vector<std::string> names() const;  // of the columns
  // Column of that name. kUsage with the names there are.
  Result<size_t> find(std::string_view name) const;

 private:
  TableSchema(std::vector<Column> columns, std::vector<float> correlation, char delimiter)
      : columns_(std::move(columns)), correlation_(std::move(correlation)), delimiter_(delimiter) {}
  Status find_tokens(const Metadata& metadata);
  std::vector<std::string> token_names() const;

  std::vector<Column> columns_;
  std::vector<float> correlation_;
  char delimiter_;
  Token row_token_ = 0;
  std::vector<Token> first_tokens_;
  size_t vocabulary_ = 0;
};

std::string_view kind_name(const Column& column);  // "category", "integer", "decimal", "date"
// A line a column: what it was found to be.
std::string describe(const TableSchema& schema);

}  // namespace enxuto
