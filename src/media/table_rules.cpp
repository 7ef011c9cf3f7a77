#include "media/table_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace enxuto {

Result<RowRules> RowRules::create(const TableSchema& schema, std::vector<Condition> conditions) {
  RowRules rules(schema, std::move(conditions));
  TRY(rules.find_given());
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

Status RowRules::check_possible(size_t c) const {
  const Column& column = schema_.columns()[c];
  bool possible = !given_[c] || holds(c, *given_[c]);
  uint32_t outcome = 0;
  while (possible && !may_hold(c, outcome)) possible = ++outcome < column.n_outcomes();
  if (possible) return {};
  return Status::usage(
      fmt::format("the conditions on column '{}' contradict each other", column.name()),
      "leave one out");
}

Status RowRules::find_given() {
  given_.resize(schema_.columns().size());
  outcomes_.resize(given_.size());
  prompt_ = {schema_.row_token()};
  for (const Condition& condition : conditions_)
    if (condition.is_equality()) given_[condition.column()] = condition.value();
  for (size_t c = 0; c < given_.size(); ++c) {
    TRY(check_possible(c));
    const bool has_condition = std::ranges::any_of(
        conditions_, [&](const Condition& condition) { return condition.column() == c; });
    if (given_[c]) {
      outcomes_[c] = *schema_.columns()[c].encode(*given_[c]);
      prompt_.insert(prompt_.end(), {schema_.marker(c), schema_.token(c, outcomes_[c])});
    } else {
      (has_condition ? open_ : free_).push_back(c);
    }
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

// Only the first column with conditions is narrowed to what they leave: drawn so, the next ones
// would not tell of it what they do, so they are drawn freely, and a row that breaks one is
// dropped. Rows that stay are as frequent as they should be.
const TokenSet& RowRules::allowed() {
  allowed_.clear();
  if (broken_ || next_ == order_.size()) return allowed_;
  const size_t c = order_[next_];
  if (!inside_) {
    allowed_.add(schema_.marker(c));
    return allowed_;
  }
  const uint32_t n = schema_.columns()[c].n_outcomes();
  if (next_ > 0 || open_.empty()) {
    allowed_.add(schema_.token(c, 0), schema_.token(c, n));
    return allowed_;
  }
  for (uint32_t outcome = 0; outcome < n; ++outcome)
    if (may_hold(c, outcome)) allowed_.add(schema_.token(c, outcome));
  return allowed_;
}

void RowRules::accept(Token token) {
  inside_ = !inside_;
  if (inside_) return;
  const size_t c = order_[next_++];
  outcomes_[c] = static_cast<uint32_t>(token - schema_.token(c, 0));
  broken_ = !may_hold(c, outcomes_[c]);
}

bool RowRules::finish(const Copula& copula, std::mt19937_64& random,
                      std::vector<std::string>& row) const {
  if (broken_ || next_ < order_.size()) return false;
  std::vector<std::optional<double>> numbers(given_.size());
  for (size_t c = 0; c < given_.size(); ++c)
    if (given_[c]) numbers[c] = schema_.columns()[c].number(*given_[c]);
  copula.place(outcomes_, numbers, random, row);
  for (size_t c = 0; c < row.size(); ++c) {
    if (given_[c]) row[c] = *given_[c];
    if (!holds(c, row[c])) return false;
  }
  return true;
}

}  // namespace enxuto
