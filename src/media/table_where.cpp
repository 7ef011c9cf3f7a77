#include "media/table_where.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace enxuto {
namespace {

constexpr std::string_view kOperators[] = {"=", "!=", "<", "<=", ">", ">="};

// The operator that a text begins with, the longest one; as its place in the list.
std::optional<size_t> operator_of(std::string_view text) {
  std::optional<size_t> found;
  for (size_t i = 0; i < std::size(kOperators); ++i)
    if (text.starts_with(kOperators[i]) &&
        (!found || kOperators[i].size() > kOperators[*found].size()))
      found = i;
  return found;
}

}  // namespace

Result<Condition> Condition::parse(std::string_view text, const TableSchema& schema) {
  std::optional<size_t> column;  // names may have operators in them: the longest one counts
  for (size_t c = 0; c < schema.columns().size(); ++c) {
    const std::string& name = schema.columns()[c].name();
    if (text.starts_with(name) && operator_of(text.substr(name.size())) &&
        (!column || name.size() > schema.columns()[*column].name().size()))
      column = c;
  }
  if (!column) {
    const std::string_view name = text.substr(0, text.find_first_of("=!<>"));
    TRY(schema.find(name).status());
    return Status::usage(fmt::format("'{}' is no condition", text),
                         "write COLUMN=VALUE, or one of != < <= > >= in the place of =");
  }
  Condition condition(schema, *column);
  text.remove_prefix(condition.of().name().size());
  const size_t kind = *operator_of(text);
  condition.kind_ = static_cast<Kind>(kind);
  condition.value_ = text.substr(kOperators[kind].size());
  TRY(condition.check());
  return condition;
}

Status Condition::check() {
  number_ = of().number(value_);
  const bool orders = kind_ != Kind::kEqual && kind_ != Kind::kNotEqual;
  if (orders && !number_)
    return Status::usage(
        fmt::format("'{}' cannot be compared with column '{}', a{} {}", value_, of().name(),
                    kind_name(of())[0] == 'i' ? "n" : "", kind_name(of())),
        of().is_number() ? "give a value as the table writes it" : "categories take = and != only");
  for (uint32_t outcome = 0; outcome < of().n_outcomes(); ++outcome)
    if (may_hold(outcome)) return {};
  const ColumnModel& m = of().model();
  const size_t shown = std::min<size_t>(m.exact.size(), 12);
  std::string has = fmt::format(
      "{}", fmt::join(m.exact.begin(), m.exact.begin() + static_cast<ptrdiff_t>(shown), ", "));
  if (!m.knots.empty())
    has += fmt::format("{}{} to {}", has.empty() ? "" : ", ", of().text_of(m.knots.front()),
                       of().text_of(m.knots.back()));
  return Status::usage(fmt::format("no row can have '{}' in column '{}'", value_, of().name()),
                       fmt::format("it has {}{}", has, shown < m.exact.size() ? " …" : ""));
}

bool Condition::compare(double number) const {
  switch (kind_) {
    case Kind::kEqual:
      return number == *number_;
    case Kind::kNotEqual:
      return number != *number_;
    case Kind::kLess:
      return number < *number_;
    case Kind::kLessEqual:
      return number <= *number_;
    case Kind::kGreater:
      return number > *number_;
    case Kind::kGreaterEqual:
      return number >= *number_;
  }
  return false;
}

bool Condition::holds(std::string_view text) const {
  if (kind_ == Kind::kEqual && text == value_) return true;
  const auto number = number_ ? of().number(text) : std::nullopt;
  if (number) return compare(*number);
  return kind_ == Kind::kNotEqual && text != value_;  // what is missing is not less, nor more
}

bool Condition::may_hold(uint32_t outcome) const {
  const Column& column = of();
  if (column.is_rare(outcome))
    return std::ranges::any_of(column.model().rare,
                               [&](const std::string& text) { return holds(text); });
  if (!column.is_bin(outcome)) return holds(column.model().exact[outcome]);
  const double begin = column.bin_begin(outcome), end = column.bin_end(outcome);
  const bool is_last = outcome + 1 == column.n_outcomes();
  if (kind_ == Kind::kNotEqual) return true;
  if (!number_) return false;
  if (kind_ == Kind::kEqual)
    return begin <= *number_ && (is_last ? *number_ <= end : *number_ < end);
  return compare(begin) || compare(end);
}

}  // namespace enxuto
