// What may come next in a row: each column once, its marker and an outcome.
//
// A model has learned rows with their columns in any order (Borisov et al., Language Models are
// Realistic Tabular Data Generators, 2023). So whatever is given stands first, and the rest is
// drawn given that, exactly: conditions need no retries. Which column comes next is the rules'
// choice; a marker tells it, so that a model need not learn to guess it, which small ones do before
// all else.
#pragma once

#include <random>

#include "media/table_copula.h"
#include "media/table_where.h"
#include "tokenizer/token_rules.h"

namespace enxuto {

class RowRules : public TokenRules {
 public:
  // What all rows have to keep. kUsage where conditions contradict each other. The schema
  // outlives the rules.
  static Result<RowRules> create(const TableSchema& schema, std::vector<Condition> conditions);

  // Another row: given columns first, then those with conditions, then the others by chance.
  // Answers with the tokens that are given, the row's first one included.
  const std::vector<Token>& begin(std::mt19937_64& random);
  const TokenSet& allowed() override;
  void accept(Token token) override;
  // The row's texts, where it is there and all its conditions hold: numbers lie in their bins where
  // the copula puts them. False: it has to be drawn again.
  bool finish(const Copula& copula, std::mt19937_64& random, std::vector<std::string>& row) const;

 private:
  RowRules(const TableSchema& schema, std::vector<Condition> conditions)
      : schema_(schema), conditions_(std::move(conditions)), allowed_(schema.vocabulary()) {}
  Status find_given();
  Status check_possible(size_t column) const;
  bool may_hold(size_t column, uint32_t outcome) const;
  bool holds(size_t column, std::string_view text) const;

  const TableSchema& schema_;
  std::vector<Condition> conditions_;
  TokenSet allowed_;
  std::vector<std::optional<std::string>> given_;  // of columns
  std::vector<Token> prompt_;
  std::vector<size_t> open_, free_;  // columns with conditions, and without
  std::vector<size_t> order_;        // of those that are not given
  std::vector<uint32_t> outcomes_;
  size_t next_ = 0;      // in order_
  bool inside_ = false;  // the marker of that column was told
  bool broken_ = false;
};

}  // namespace enxuto
