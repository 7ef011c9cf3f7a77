#include "media/csv.h"

#include <fmt/format.h>

#include <algorithm>

namespace enxuto {
namespace {

constexpr size_t kPieceBytes = size_t{64} << 10;
constexpr const char* kOpenQuote = "is there a quote that nothing closes?";

void free_parser(csv_parser* parser) {
  csv_free(parser);
  delete parser;
}

CsvParser parser_of() {
  CsvParser parser(new csv_parser, free_parser);
  csv_init(parser.get(), 0);
  csv_set_blk_size(parser.get(), kPieceBytes);
  csv_set_space_func(parser.get(), [](unsigned char) { return 0; });  // spaces are part of fields
  return parser;
}

}  // namespace

char csv_delimiter_of(std::string_view line) {
  const std::string_view known = ",;\t";
  const auto count = [&](char c) { return std::ranges::count(line, c); };
  return *std::ranges::max_element(known, {}, count);
}

// A line at a time: a row ends where a line does, and libcsv does not say where.
Result<CsvRecord> first_csv_row(std::string_view text, char delimiter) {
  struct Found {
    std::vector<std::string> fields;
    size_t rows = 0;
  } found;
  const auto field = [](void* bytes, size_t size, void* out) {
    static_cast<Found*>(out)->fields.emplace_back(static_cast<const char*>(bytes), size);
  };
  const auto row = [](int, void* out) { ++static_cast<Found*>(out)->rows; };
  const CsvParser parser = parser_of();
  csv_set_delim(parser.get(), static_cast<unsigned char>(delimiter));
  size_t at = 0;
  while (found.rows == 0 && at < text.size()) {
    std::string_view piece = text.substr(at, kPieceBytes);
    if (const size_t end = piece.find('\n'); end < piece.size()) piece = piece.substr(0, end + 1);
    if (csv_parse(parser.get(), piece.data(), piece.size(), field, row, &found) < piece.size())
      return Status::failed("no memory left for a field of CSV");
    at += piece.size();
    if (found.rows == 0 && at > CsvReader::kMostBytes)
      return Status::bad_input("a row without an end", kOpenQuote);
  }
  csv_fini(parser.get(), field, row, &found);
  if (found.rows > 1)
    return Status::bad_input("several rows on a line", "end lines with LF or CRLF");
  return CsvRecord{std::move(found.fields), at};
}

// Fields one after the other in one text; the first `taken` rows were handed out.
struct CsvReader::Parsed {
  std::string text;
  std::vector<size_t> field_ends;  // in text
  std::vector<size_t> row_ends;    // in field_ends
  size_t taken = 0;

  void add_field(void* field, size_t size) {
    text.append(static_cast<const char*>(field), size);
    field_ends.push_back(text.size());
  }
  bool has_row() const { return taken < row_ends.size(); }
  void take(CsvRow& row) {
    const size_t first = taken == 0 ? 0 : row_ends[taken - 1], end = row_ends[taken];
    size_t begin = first == 0 ? 0 : field_ends[first - 1];
    row.clear();
    for (size_t i = first; i < end; begin = field_ends[i++])
      row.push_back(std::string_view(text).substr(begin, field_ends[i] - begin));
    ++taken;
  }
  // What was handed out goes.
  void drop_taken() {
    const size_t fields = row_ends.empty() ? 0 : row_ends.back();
    const size_t bytes = fields == 0 ? 0 : field_ends[fields - 1];
    text.erase(0, bytes);
    field_ends.erase(field_ends.begin(), field_ends.begin() + static_cast<ptrdiff_t>(fields));
    for (size_t& end : field_ends) end -= bytes;
    row_ends.clear();
    taken = 0;
  }
};

CsvReader::CsvReader(InputFile file, char delimiter)
    : file_(std::move(file)),
      delimiter_(delimiter),
      parser_(parser_of()),
      parsed_(std::make_unique<Parsed>()) {}
CsvReader::CsvReader(CsvReader&&) noexcept = default;
CsvReader::~CsvReader() = default;

Result<CsvReader> CsvReader::open(const std::string& path) {
  ASSIGN_OR_RETURN(InputFile file, InputFile::open(path));
  CsvReader reader(std::move(file), ',');
  TRY(reader.begin());
  return reader;
}

Status CsvReader::fill() {
  piece_.resize(kPieceBytes);
  ASSIGN_OR_RETURN(const uint64_t n, file_.read(piece_));
  n_bytes_ += n, complete_ = n < piece_.size();
  piece_.resize(n);
  if (std::ranges::find(piece_, '\0') == piece_.end()) return {};
  return Status::bad_input(fmt::format("{} is no CSV text: it has bytes of zero", file_.path()),
                           "give CSV in UTF-8 (or Latin-1); UTF-16 has to be converted");
}

// The first piece tells of the rest.
Status CsvReader::begin() {
  TRY(fill());
  if (std::string_view(piece_.data(), piece_.size()).starts_with(kByteOrderMark))
    piece_.erase(piece_.begin(), piece_.begin() + kByteOrderMark.size());
  const std::string_view piece(piece_.data(), piece_.size());
  delimiter_ = csv_delimiter_of(piece.substr(0, piece.find_first_of("\r\n")));
  csv_set_delim(parser_.get(), static_cast<unsigned char>(delimiter_));
  return parse();
}

Status CsvReader::parse() {
  const auto field = [](void* bytes, size_t size, void* parsed) {
    static_cast<Parsed*>(parsed)->add_field(bytes, size);
  };
  const auto row = [](int, void* parsed) {
    auto& p = *static_cast<Parsed*>(parsed);
    p.row_ends.push_back(p.field_ends.size());
  };
  const size_t n =
      csv_parse(parser_.get(), piece_.data(), piece_.size(), field, row, parsed_.get());
  if (n < piece_.size()) return Status::failed("no memory left for a field of CSV");
  if (complete_) csv_fini(parser_.get(), field, row, parsed_.get());
  const size_t open =
      parsed_->field_ends.size() - (parsed_->row_ends.empty() ? 0 : parsed_->row_ends.back());
  if (csv_get_buffer_size(parser_.get()) <= kMostBytes && open <= kMostFields) return {};
  return Status::bad_input(fmt::format("{}: a field without an end after row {}", file_.path(),
                                       n_rows_ + parsed_->row_ends.size()),
                           kOpenQuote);
}

Result<bool> CsvReader::next(CsvRow& row) {
  while (!parsed_->has_row()) {
    if (complete_) return false;
    parsed_->drop_taken();
    TRY(fill());
    TRY(parse());
  }
  parsed_->take(row);
  ++n_rows_;
  return true;
}

Status CsvWriter::add(std::span<const std::string> row) {
  const char special[] = {delimiter_, '"', '\r', '\n'};
  line_.clear();
  for (const std::string& field : row) {
    if (&field != row.data()) line_ += delimiter_;
    const bool is_blank_line = row.size() == 1 && field.empty();
    if (!is_blank_line && field.find_first_of({special, 4}) == std::string::npos) {
      line_ += field;
      continue;
    }
    line_ += '"';
    for (const char c : field) line_.append(c == '"' ? 2 : 1, c);
    line_ += '"';
  }
  line_ += '\n';
  return file_.write(line_);
}

}  // namespace enxuto
