// CSV as RFC 4180 has it, in a stream: fields in quotes, which may hold line ends, doubled quotes
// in them, LF or CRLF. Parsing is libcsv's; on top of it come limits, a BOM and the delimiter.
// Bytes of fields stay as they are, whatever their encoding.
#pragma once

#include <csv.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/file.h"

namespace enxuto {

using CsvRow = std::vector<std::string_view>;
using CsvParser = std::unique_ptr<csv_parser, void (*)(csv_parser*)>;

class CsvReader {
 public:
  // The delimiter is the one of , ; and tab that the first line has most of. kBadInput where the
  // file is no text in bytes (UTF-16 is not).
  static Result<CsvReader> open(const std::string& path);
  CsvReader(CsvReader&&) noexcept;
  CsvReader& operator=(CsvReader&&) = delete;
  ~CsvReader();

  // The next row, valid until the call after; false at the end. Blank lines are passed over.
  // kBadInput where a field has over kMostBytes: a quote that nothing closes.
  Result<bool> next(CsvRow& row);
  char delimiter() const { return delimiter_; }
  uint64_t rows() const { return n_rows_; }    // read so far, the first one too
  uint64_t bytes() const { return n_bytes_; }  // read so far
  uint64_t file_bytes() const { return file_.size(); }

  static constexpr size_t kMostBytes = size_t{1} << 20, kMostFields = size_t{1} << 16;

 private:
  struct Parsed;  // complete rows, and what is there of the next one
  CsvReader(InputFile file, char delimiter);
  Status fill();   // the next piece of the file
  Status parse();  // what is in it
  Status begin();

  InputFile file_;
  char delimiter_ = ',';
  CsvParser parser_;
  std::unique_ptr<Parsed> parsed_;
  std::vector<char> piece_;
  bool complete_ = false;
  uint64_t n_rows_ = 0, n_bytes_ = 0;
};

inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
// The one of , ; and tab that a line has most of.
char csv_delimiter_of(std::string_view line);

// A row by itself, and what of the text it took.
struct CsvRecord {
  std::vector<std::string> fields;
  size_t bytes = 0;  // with its line end
};
// The row that a text begins with, for whom has to find it again. Blank lines before it count as
// its own. kBadInput where it has over kMostBytes, and where lines end with CR alone.
Result<CsvRecord> first_csv_row(std::string_view text, char delimiter);

// Rows into a file, with quotes where they are needed.
class CsvWriter {
 public:
  CsvWriter(OutputFile file, char delimiter) : file_(std::move(file)), delimiter_(delimiter) {}
  Status add(std::span<const std::string> row);
  Status commit() { return file_.commit(); }
  uint64_t bytes() const { return file_.size(); }

 private:
  OutputFile file_;
  char delimiter_;
  std::string line_;
};

}  // namespace enxuto
