#include "media/table_column.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace enxuto {
namespace {

bool are_shares(const std::vector<float>& shares, size_t n) {
  return shares.size() == n &&
         std::ranges::all_of(shares, [](float s) { return s >= 0 && s <= 1; });
}

}  // namespace

Result<Column> Column::create(ColumnModel model) {
  Column column(std::move(model));
  TRY(column.check().in(fmt::format("column '{}'", column.name())));
  column.index();
  return column;
}

Status Column::check() const {
  const ColumnModel& m = model_;
  const auto unsound = [](const char* what) { return Status::bad_input(what); };
  const auto known = date_patterns();
  if (m.kind == ColumnKind::kDate &&
      std::ranges::find(known, std::string_view(m.date_pattern)) == known.end())
    return unsound("its dates have no known pattern");
  if (m.format.decimals < 0 || m.format.decimals > 300) return unsound("its decimals");
  if (!(m.step >= 0 && m.step <= 1e300)) return unsound("its step");
  if (!m.knots.empty() && (m.knots.size() < 2 || !is_number())) return unsound("its knots");
  for (size_t i = 0; i < m.knots.size(); ++i)
    if (!(std::abs(m.knots[i]) <= 1e300) || (i > 0 && !(m.knots[i - 1] < m.knots[i])))
      return unsound("its knots do not ascend");
  const double span = m.knots.empty() ? 0 : m.knots.back() - m.knots.front();
  if (m.step > 0 && span / m.step > 0x1p54) return unsound("its step is too small");
  if (m.parts == 0 || m.parts > 4096) return unsound("its parts");
  if (n_outcomes() == 0) return unsound("nothing that it could say");
  if (!are_shares(m.rare_shares, m.rare.size()) || !are_shares(m.shares, n_outcomes()))
    return unsound("its shares");
  return {};
}

void Column::index() {
  for (uint32_t i = 0; i < n_exact(); ++i) {
    index_.emplace(model_.exact[i], i);
    exact_numbers_.push_back(number(model_.exact[i]));
  }
  for (const std::string& text : model_.rare) index_.emplace(text, n_exact());
}

std::optional<double> Column::number(std::string_view text) const {
  if (model_.kind == ColumnKind::kDate) return parse_date(text, model_.date_pattern);
  if (model_.kind == ColumnKind::kCategory) return {};
  const auto parsed = parse_number(text);
  return parsed ? std::optional(parsed->value) : std::nullopt;
}

std::string Column::text_of(double number) const {
  return model_.kind == ColumnKind::kDate ? date_text(number, model_.date_pattern)
                                          : model_.format.text(number);
}

std::optional<uint32_t> Column::nearest_exact(double number) const {
  std::optional<uint32_t> nearest;
  for (uint32_t i = 0; i < n_exact(); ++i)
    if (exact_numbers_[i] && (!nearest || std::abs(*exact_numbers_[i] - number) <
                                              std::abs(*exact_numbers_[*nearest] - number)))
      nearest = i;
  return nearest;
}

std::optional<uint32_t> Column::encode(std::string_view text) const {
  if (const auto found = index_.find(std::string(text)); found != index_.end())
    return found->second;
  if (!is_number())  // a category that the sample did not have
    return model_.rare.empty() ? n_exact() - 1 : n_exact();
  const auto value = number(text);
  if (!value) return {};
  if (n_cells() == 0) return nearest_exact(*value);
  return first_bin() + cell_of(*value) / model_.parts;
}

uint32_t Column::cell_of(double number) const {
  const auto above = std::ranges::upper_bound(model_.knots, number) - model_.knots.begin();
  return static_cast<uint32_t>(std::clamp<ptrdiff_t>(above - 1, 0, n_cells() - 1));
}

double Column::place(uint32_t outcome, double number) const {
  const uint32_t cell = std::clamp(cell_of(number), first_cell(outcome), end_cell(outcome) - 1);
  const double begin = model_.knots[cell], end = model_.knots[cell + 1];
  const double in_cell = std::clamp((number + model_.step / 2 - begin) / (end - begin), 0.0, 1.0);
  return (cell - first_cell(outcome) + in_cell) / (end_cell(outcome) - first_cell(outcome));
}

std::string Column::text(uint32_t outcome, double place) const {
  if (is_rare(outcome)) {
    size_t i = 0;
    for (; i + 1 < model_.rare.size() && place >= model_.rare_shares[i]; ++i)
      place -= model_.rare_shares[i];
    return model_.rare[i];
  }
  if (!is_bin(outcome)) return model_.exact[outcome];
  const uint32_t n = end_cell(outcome) - first_cell(outcome);
  const double in_bin = std::clamp(place, 0.0, 1.0) * n;
  const uint32_t part = std::min(static_cast<uint32_t>(in_bin), n - 1);
  const uint32_t cell = first_cell(outcome) + part;
  const double begin = model_.knots[cell], end = model_.knots[cell + 1], in_cell = in_bin - part;
  if (model_.step == 0) return text_of(begin + in_cell * (end - begin));
  // As many steps as there are in the cell; the end belongs to the next one, if there is one.
  const bool is_last = cell + 1 == n_cells();
  const double steps = std::round((end - begin) / model_.step) + is_last;
  const double step = std::clamp(std::floor(in_cell * steps), 0.0, std::max(steps - 1, 0.0));
  return text_of(begin + step * model_.step);
}

}  // namespace enxuto
