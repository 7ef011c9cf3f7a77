#include "media/table_sample.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/bytes.h"
#include "data/text_files.h"
#include "media/table_schema.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

constexpr uint64_t kRowsBetweenReports = 4096;

uint64_t bytes_of(const std::vector<std::string>& row) {
  uint64_t bytes = row.size() * sizeof(std::string);
  for (const std::string& text : row) bytes += text.capacity();
  return bytes;
}

}  // namespace

Status TableRows::read_header(CsvReader& reader) {
  CsvRow row;
  ASSIGN_OR_RETURN(const bool any, reader.next(row));
  if (!any) return Status::bad_input("there is nothing in it", "the first row has to name columns");
  const std::vector<std::string> names(row.begin(), row.end());
  if (names.size() > kMostColumns)
    return Status::bad_input(fmt::format("{} columns; {} are the most", format_count(names.size()),
                                         format_count(kMostColumns)));
  for (const std::string& name : names)
    if (name.size() > kMostTextBytes) return Status::bad_input("a column's name has no end");
  if (!names_.empty() && names != names_)
    return Status::bad_input(fmt::format("its columns are not {}", fmt::join(names_, ", ")),
                             "give tables of the same columns");
  names_ = names, delimiter_ = reader.delimiter();
  return {};
}

// Why a row cannot be used; empty: it can.
std::string TableRows::check(const CsvRow& row) const {
  if (row.size() != names_.size())
    return fmt::format("{} fields, where the header has {}", row.size(), names_.size());
  for (const std::string_view field : row)
    if (field.size() > kMostTextBytes)
      return fmt::format("a field of {}; {} are the most", format_bytes(field.size()),
                         format_bytes(kMostTextBytes));
  return {};
}

void TableRows::leave_out(const std::string& why) {
  if (counts_.corrupt++ == 0) counts_.first_corrupt = place_ + ": " + why;
  --counts_.documents;
}

Status TableRows::read_file(const std::string& path,
                            const std::function<Status(const CsvRow&)>& body,
                            const std::function<Status(uint64_t)>& tell) {
  ASSIGN_OR_RETURN(CsvReader reader, CsvReader::open(path));
  TRY(read_header(reader).in(path));
  CsvRow row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool any, reader.next(row));
    if (!any) break;
    if (reader.rows() % kRowsBetweenReports == 0) TRY(tell(reader.bytes()));
    place_ = fmt::format("{}:{}", path, reader.rows());
    ++counts_.documents;
    for (const std::string_view field : row) counts_.malformed_bytes += malformed_bytes(field);
    const std::string why = check(row);
    if (why.empty()) {
      TRY(body(row));
    } else {
      leave_out(why);
    }
  }
  counts_.bytes += reader.bytes();
  return {};
}

Status TableRows::read(const Progress& progress, const char* stage,
                       const std::function<Status(const CsvRow&)>& body) {
  counts_ = {};
  ASSIGN_OR_RETURN(const std::vector<TextFile> files, find_text_files(paths_));
  uint64_t all = 0, done = 0;
  for (const TextFile& file : files) all += file.bytes;
  for (const TextFile& file : files) {
    TRY(read_file(file.path, body, [&](uint64_t bytes) {
      if (interrupted()) return Status::interrupted();
      if (progress) progress(stage, static_cast<double>(done + bytes) / static_cast<double>(all));
      return Status();
    }));
    done += file.bytes;
  }
  if (counts_.documents > 0) return {};
  const std::string first = counts_.corrupt ? "; the first is " + counts_.first_corrupt : "";
  return Status::bad_input(fmt::format("no row in {} can be used: {} are broken{}", paths_[0],
                                       format_count(counts_.corrupt), first),
                           "give CSV whose first row names the columns");
}

void SampledRows::put(size_t place, const CsvRow& row) {
  std::vector<std::string>& kept = rows_[place];
  if (!kept.empty()) bytes_ -= bytes_of(kept);
  kept.assign(row.begin(), row.end());
  bytes_ += bytes_of(kept);
}

void SampledRows::add(const CsvRow& row) {
  ++seen_;
  if (seen_ <= most_rows_ && rows_.size() + 1 == seen_) {
    const size_t place = std::uniform_int_distribution<size_t>(0, rows_.size())(random_);
    rows_.emplace_back();
    std::swap(rows_.back(), rows_[place]);  // in a random order, so that any part is a sample
    put(place, row);
  } else if (const auto place = std::uniform_int_distribution<uint64_t>(0, seen_ - 1)(random_);
             place < rows_.size()) {
    put(place, row);
  }
  while (bytes_ > most_bytes_ && rows_.size() > 1) {
    bytes_ -= bytes_of(rows_.back());
    rows_.pop_back();
  }
}

}  // namespace enxuto
