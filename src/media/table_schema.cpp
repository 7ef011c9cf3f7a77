#include "media/table_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "media/codec.h"
#include "media/media_vocabulary.h"

namespace enxuto {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kRowToken = "tokenizer.ggml.eos_token_id";
constexpr const char* kPrefix = "enxuto.media.table.";
constexpr std::string_view kKinds[] = {"category", "number", "date"};
constexpr std::string_view kStyles[] = {"fixed", "trimmed", "general"};

std::string key(const char* name) { return fmt::format("{}{}", kPrefix, name); }
std::string key(size_t column, const char* name) {
  return fmt::format("{}{}.{}", kPrefix, column, name);
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

// What is read of a model's metadata; the first thing that is missing is remembered.
class Reader {
 public:
  explicit Reader(const Metadata& metadata) : metadata_(metadata) {}
  const Status& status() const { return status_; }

  std::string text(const std::string& key) {
    return std::string(value(key, metadata_.string_at(key)));
  }
  uint64_t number(const std::string& key) { return value(key, metadata_.unsigned_at(key)); }
  std::vector<std::string> texts(const std::string& key) {
    const MetaValue* found = metadata_.find(key);
    const auto texts = value(key, found ? found->as_strings() : std::nullopt);
    return {texts.begin(), texts.end()};
  }
  std::vector<float> shares(const std::string& key) {
    const MetaValue* found = metadata_.find(key);
    const auto numbers = value(key, found ? found->as_numbers() : std::nullopt);
    return {numbers.begin(), numbers.end()};
  }
  double decimal(const std::string& key, std::string_view text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) miss(key);
    return number;
  }
  std::vector<double> decimals(const std::string& key) {
    std::vector<double> numbers;
    for (const std::string& text : texts(key)) numbers.push_back(decimal(key, text));
    return numbers;
  }
  size_t choice(const std::string& key, std::string_view text,
                std::span<const std::string_view> known) {
    const auto found = std::ranges::find(known, text);
    if (found != known.end()) return static_cast<size_t>(found - known.begin());
    miss(key);
    return 0;
  }
  void miss(const std::string& key) {
    if (status_.ok())
      status_ = Status::bad_input(fmt::format("the model's {} is missing or not sound", key),
                                  "the model file is damaged: take it anew");
  }

 private:
  template <class T>
  T value(const std::string& key, const std::optional<T>& found) {
    if (!found) miss(key);
    return found.value_or(T());
  }
  const Metadata& metadata_;
  Status status_;
};

// "fixed 2", or a pattern of dates.
std::string format_text(const ColumnModel& m) {
  if (m.kind == ColumnKind::kDate) return m.date_pattern;
  return fmt::format("{} {}", kStyles[m.format.style], m.format.decimals);
}

void read_format(Reader& in, const std::string& key, ColumnModel& m) {
  const std::string text = in.text(key);
  if (m.kind == ColumnKind::kDate) {
    m.date_pattern = text;
    return;
  }
  const size_t space = std::min(text.find(' '), text.size());
  m.format.style = static_cast<NumberFormat::Style>(in.choice(key, text.substr(0, space), kStyles));
  const double decimals =
      in.decimal(key, std::string_view(text).substr(std::min(space + 1, text.size())));
  if (!(decimals >= 0 && decimals <= 300)) return in.miss(key);
  m.format.decimals = static_cast<int>(decimals);
}

ColumnModel read_column(Reader& in, size_t i) {
  ColumnModel m;
  m.name = in.text(key(i, "name"));
  m.kind = static_cast<ColumnKind>(in.choice(key(i, "kind"), in.text(key(i, "kind")), kKinds));
  read_format(in, key(i, "format"), m);
  m.step = in.decimal(key(i, "step"), in.text(key(i, "step")));
  m.exact = in.texts(key(i, "exact"));
  m.rare = in.texts(key(i, "rare"));
  m.rare_shares = in.shares(key(i, "rare_shares"));
  m.knots = in.decimals(key(i, "knots"));
  m.shares = in.shares(key(i, "shares"));
  const uint64_t parts = in.number(key(i, "parts"));
  m.parts = static_cast<uint32_t>(std::min<uint64_t>(parts, UINT32_MAX));
  return m;
}

void save_column(const ColumnModel& m, size_t i, Metadata& out) {
  std::vector<std::string> knots;
  for (const double knot : m.knots) knots.push_back(fmt::format("{}", knot));
  out.set_string(key(i, "name"), m.name);
  out.set_string(key(i, "kind"), kKinds[static_cast<size_t>(m.kind)]);
  out.set_string(key(i, "format"), format_text(m));
  out.set_string(key(i, "step"), fmt::format("{}", m.step));
  out.set_strings(key(i, "exact"), views(m.exact));
  out.set_strings(key(i, "rare"), views(m.rare));
  out.set_f32s(key(i, "rare_shares"), m.rare_shares);
  out.set_strings(key(i, "knots"), views(knots));
  out.set_f32s(key(i, "shares"), m.shares);
  out.set_u32(key(i, "parts"), m.parts);
}

}  // namespace

TableSchema TableSchema::create(std::vector<Column> columns, std::vector<float> correlation,
                                char delimiter, Metadata& vocabulary) {
  TableSchema schema(std::move(columns), std::move(correlation), delimiter);
  append_tokens(vocabulary, schema.token_names());
  const Status found = schema.find_tokens(vocabulary);
  assert(found.ok());
  (void)found;
  return schema;
}

std::vector<std::string> TableSchema::token_names() const {
  std::vector<std::string> names;
  for (size_t c = 0; c < columns_.size(); ++c)
    for (uint32_t t = 0; t <= columns_[c].n_outcomes(); ++t)
      names.push_back(fmt::format("<column {} {}>", c, t));
  return names;
}

// Where the columns' tokens are; a vocabulary that was cut has them no longer.
Status TableSchema::find_tokens(const Metadata& metadata) {
  const MetaValue* value = metadata.find(kTokens);
  const auto tokens = value ? value->as_strings() : std::nullopt;
  const auto row = metadata.unsigned_at(kRowToken);
  const std::vector<std::string> names = token_names();
  if (!tokens || !row || *row >= tokens->size() || tokens->size() < names.size() ||
      !std::equal(names.begin(), names.end(), tokens->end() - static_cast<ptrdiff_t>(names.size())))
    return Status::bad_input("the model's vocabulary is not that of its table",
                             "the model file is damaged, or its vocabulary was cut");
  row_token_ = static_cast<Token>(*row);
  vocabulary_ = tokens->size();
  Token next = static_cast<Token>(tokens->size() - names.size());
  for (const Column& column : columns_) {
    first_tokens_.push_back(next);
    next += static_cast<Token>(column.n_outcomes() + 1);
  }
  return {};
}

Result<TableSchema> TableSchema::open(const Metadata& metadata) {
  Reader in(metadata);
  const uint64_t n = in.number(key("columns"));
  const std::string delimiter = in.text(key("delimiter"));
  if (n == 0 || n > kMostColumns) in.miss(key("columns"));
  if (delimiter != "," && delimiter != ";" && delimiter != "\t") in.miss(key("delimiter"));
  std::vector<Column> columns;
  for (size_t i = 0; i < n && in.status().ok(); ++i) {
    ColumnModel model = read_column(in, i);
    TRY(in.status());
    ASSIGN_OR_RETURN(Column column, Column::create(std::move(model)));
    columns.push_back(std::move(column));
  }
  std::vector<float> correlation = in.shares(key("correlation"));
  if (correlation.size() != n * (n - 1) / 2 ||
      !std::ranges::all_of(correlation, [](float r) { return std::abs(r) <= 1; }))
    in.miss(key("correlation"));
  TRY(in.status());
  TableSchema schema(std::move(columns), std::move(correlation), delimiter[0]);
  TRY(schema.find_tokens(metadata));
  if (metadata.unsigned_at(kMediaContext) != schema.row_tokens())
    return Status::bad_input("the model's context is not a row of its table");
  return schema;
}

void TableSchema::save(Metadata& metadata) const {
  metadata.set_u32(kMediaContext, row_tokens());
  metadata.set_string(key("delimiter"), {&delimiter_, 1});
  metadata.set_u32(key("columns"), static_cast<uint32_t>(columns_.size()));
  metadata.set_f32s(key("correlation"), correlation_);
  for (size_t i = 0; i < columns_.size(); ++i) save_column(columns_[i].model(), i, metadata);
}

std::vector<std::string> TableSchema::names() const {
  std::vector<std::string> names;
  for (const Column& column : columns_) names.push_back(column.name());
  return names;
}

Result<size_t> TableSchema::find(std::string_view name) const {
  for (size_t c = 0; c < columns_.size(); ++c)
    if (columns_[c].name() == name) return c;
  return Status::usage(fmt::format("the table has no column '{}'", name),
                       fmt::format("its columns are {}", fmt::join(names(), ", ")));
}

std::string_view kind_name(const Column& column) {
  const ColumnModel& m = column.model();
  if (m.kind == ColumnKind::kNumber)
    return m.format.style == NumberFormat::kFixed && m.format.decimals == 0 ? "integer" : "decimal";
  return kKinds[static_cast<size_t>(m.kind)];
}

std::string describe(const TableSchema& schema) {
  std::string lines;
  for (const Column& column : schema.columns()) {
    const ColumnModel& m = column.model();
    lines += fmt::format("  {:24} {:9}", column.name(), kind_name(column));
    if (!m.knots.empty())
      lines +=
          fmt::format("{} to {}", column.text_of(m.knots.front()), column.text_of(m.knots.back()));
    if (!m.exact.empty()) {
      const size_t shown = std::min<size_t>(m.exact.size(), 4);
      lines += fmt::format(
          "{}{}{}", m.knots.empty() ? "" : ", often ",
          fmt::join(m.exact.begin(), m.exact.begin() + static_cast<ptrdiff_t>(shown), " | "),
          m.exact.size() > shown ? fmt::format(" … of {}", m.exact.size()) : "");
    }
    if (!m.rare.empty()) lines += fmt::format(", and {} rare ones", m.rare.size());
    lines += '\n';
  }
  return lines;
}

}  // namespace enxuto
