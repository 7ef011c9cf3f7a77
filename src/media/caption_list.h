// Pictures and what they show: lists of files with captions.
//
// What may be named: a list, or a folder with captions.jsonl or metadata.jsonl in it. A line of it
// is an object: {"file_name": "hearts/red.png", "text": "red heart"}, or file or image, and
// caption. Paths are from the list's folder.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "platform/file.h"

namespace enxuto {

struct Caption {
  std::string file, text;
};

// Of each line only its place is kept.
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
  Status add(const std::string& path);
  std::string place_of(const Entry& entry) const;

  std::vector<std::shared_ptr<const MappedFile>> lists_;
  std::vector<Entry> entries_;
};

}  // namespace enxuto
