// Rows of CSV files in one pass: all of them are looked at, and a random sample of bounded size is
// kept (reservoir sampling, Vitter 1985).
#pragma once

#include <functional>
#include <random>

#include "base/progress.h"
#include "data/token_file.h"
#include "media/csv.h"

namespace enxuto {

inline constexpr size_t kMostTextBytes = 4096;  // of a field; a row with a longer one is left out

// A table in one file or several, which have the same header.
class TableRows {
 public:
  // names: those that the header has to have; empty: any.
  explicit TableRows(std::vector<std::string> paths, std::vector<std::string> names = {})
      : paths_(std::move(paths)), names_(std::move(names)) {}
  // body(row) of every row that has as many fields as the header; the others are counted.
  // kBadInput where a file is no CSV, has another header, or nothing is there.
  Status read(const Progress& progress, const char* stage,
              const std::function<Status(const CsvRow&)>& body);
  const std::vector<std::string>& names() const { return names_; }
  char delimiter() const { return delimiter_; }
  // A row that cannot be used, for a reason of the reader's or of the body's.
  void leave_out(const std::string& why);
  const DataCounts& counts() const { return counts_; }

 private:
  Status read_header(CsvReader& reader);
  Status read_file(const std::string& path, const std::function<Status(const CsvRow&)>& body,
                   const std::function<Status(uint64_t)>& tell);
  std::string check(const CsvRow& row) const;

  std::vector<std::string> paths_, names_;
  std::string place_;  // FILE:ROW
  char delimiter_ = 0;
  DataCounts counts_;
};

class SampledRows {
 public:
  SampledRows(size_t most_rows, uint64_t most_bytes, uint64_t seed)
      : most_rows_(most_rows), most_bytes_(most_bytes), random_(seed) {}
  void add(const CsvRow& row);
  using Rows = std::vector<std::vector<std::string>>;
  const Rows& rows() const { return rows_; }
  uint64_t seen() const { return seen_; }

 private:
  void put(size_t place, const CsvRow& row);
  size_t most_rows_;
  uint64_t most_bytes_, bytes_ = 0, seen_ = 0;
  std::mt19937_64 random_;
  Rows rows_;
};

}  // namespace enxuto
