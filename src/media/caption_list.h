// Pictures and what they show: lists of files with captions.
//
// What may be named: a list, or a folder with captions or metadata in it, .jsonl or .csv. A line of
// JSON is an object: {"file_name": "hearts/red.png", "text": "red heart"}, or file or image, and
// caption; a CSV has columns of these names. Paths are from the list's folder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "platform/file.h"

namespace enxuto {

struct CsvRecord;

struct Caption {
  std::string file, text;
};

// Of each line, or row, only its place is kept.
class CaptionList {
 public:
  // kBadInput where there is no list, or nothing in it.
  static Result<CaptionList> open(const std::vector<std::string>& paths);

  size_t size() const { return entries_.size(); }
  // kBadInput with file and line where it is no such object.
  Result<Caption> at(size_t i) const;

 private:
  struct Entry {
    uint32_t list, line;  // line: from 1
    uint64_t begin;       // of the line, in the list
  };
  struct Columns {
    char delimiter = ',';
    size_t file = 0, text = 0, n = 0;
  };
  struct List {
    std::shared_ptr<const MappedFile> file;
    std::optional<Columns> csv;
  };
  Status add(const std::string& path);
  void add_lines(std::string_view text);
  Status add_rows(std::string_view text, List& list);
  static Result<Columns> columns_in(const CsvRecord& header, char delimiter);
  static Result<Caption> caption_in(std::string_view text, const Columns& columns);
  std::string place_of(const Entry& entry) const;

  std::vector<List> lists_;
  std::vector<Entry> entries_;
};

}  // namespace enxuto
