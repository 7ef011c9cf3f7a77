#include "media/table_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace enxuto {

Result<RowRules> RowRules::create(const TableSchema& schema,
                                  const std::vector<Condition>& conditions) {
  RowRules rules(schema, conditions);
  TRY(rules.find_given());
  rules.tokens_.resize(schema.columns().size());
  return rules;
}

bool RowRules::holds(size_t column, std::string_view text) const {
  return std::ranges::all_of(
      conditions_, [&](const Condition& c) { return c.column() != column || c.holds(text); });
}

bool RowRules::may_hold(size_t column, uint32_t outcome) const {
  return std::ranges::all_of(
      conditions_, [&](const Condition& c) { return c.column() != column || c.may_hold(outcome); });
}

Status RowRules::find_given() {
  given_.resize(schema_.columns().size());
  prompt_ = {schema_.row_token()};
  for (const Condition& condition : conditions_)
    if (condition.is_equality()) given_[condition.column()] = condition.value();
  for (size_t c = 0; c < given_.size(); ++c) {
    const Column& column = schema_.columns()[c];
    const bool has_condition = std::ranges::any_of(
        conditions_, [&](const Condition& condition) { return condition.column() == c; });
    bool possible = false;
    for (uint32_t outcome = 0; outcome < column.n_outcomes(); ++outcome)
      possible = possible || may_hold(c, outcome);
    if (!possible || (given_[c] && !holds(c, *given_[c])))
      return Status::usage(
          fmt::format("the conditions on column '{}' contradict each other", column.name()),
          "leave one out");
    if (!given_[c]) {
      (has_condition ? open_ : free_).push_back(c);
      continue;
    }
    const auto tokens = column.tokens(*column.encode(*given_[c]));
    prompt_.push_back(schema_.first_token(c) + static_cast<Token>(tokens.first));
    if (tokens.second)
      prompt_.push_back(schema_.first_token(c) + static_cast<Token>(*tokens.second));
  }
  return {};
}

const std::vector<Token>& RowRules::begin(std::mt19937_64& random) {
  order_ = free_;
  std::ranges::shuffle(order_, random);
  order_.insert(order_.begin(), open_.begin(), open_.end());
  next_ = 0, inside_ = broken_ = false;
  return prompt_;
}

// Only the first column with conditions is narrowed to what they leave: what it is then told of
// the next ones would be of too many, so those are drawn freely, and a row that breaks one is
// dropped. Rows that stay are as frequent as they should be.
void RowRules::allow_first(size_t c) {
  const Column& column = schema_.columns()[c];
  const Token first = schema_.first_token(c);
  if (next_ > 0 || open_.empty())
    return allowed_.add(first, first + static_cast<Token>(column.n_first_tokens()));
  for (uint32_t outcome = 0; outcome < column.n_outcomes(); ++outcome)
    if (may_hold(c, outcome)) allowed_.add(first + static_cast<Token>(column.tokens(outcome).first));
}

const TokenSet& RowRules::allowed() {
  allowed_.clear();
  if (broken_ || next_ == order_.size()) return allowed_;
  const size_t c = order_[next_];
  const Column& column = schema_.columns()[c];
  if (!inside_) {
    allow_first(c);
    return allowed_;
  }
  const Token first = schema_.first_token(c);
  Column::Tokens tokens{tokens_[c].first, {}};
  for (uint32_t part = 0; part < column.parts_of(tokens.first); ++part) {
    tokens.second = column.n_first_tokens() + part;
    if (next_ > 0 || open_.empty() || may_hold(c, column.outcome(tokens)))
      allowed_.add(first + static_cast<Token>(*tokens.second));
  }
  return allowed_;
}

void RowRules::accept(Token token) {
  const size_t c = order_[next_];
  const Column& column = schema_.columns()[c];
  const auto number = static_cast<uint32_t>(token - schema_.first_token(c));
  if (inside_) {
    tokens_[c].second = number;
    inside_ = false;
  } else {
    tokens_[c] = {number, {}};
    inside_ = column.begins_cell(number) && column.has_parts();
  }
  if (inside_) return;
  broken_ = !may_hold(c, column.outcome(tokens_[c]));
  ++next_;
}

bool RowRules::finish(std::mt19937_64& random, std::vector<std::string>& row) const {
  if (broken_ || next_ < order_.size()) return false;
  std::uniform_real_distribution<double> place;
  row.resize(given_.size());
  for (size_t c = 0; c < row.size(); ++c) {
    row[c] = given_[c] ? *given_[c]
                       : schema_.columns()[c].text(
                             schema_.columns()[c].outcome(tokens_[c]), place(random));
    if (!holds(c, row[c])) return false;
  }
  return true;
}

}  // namespace enxuto
