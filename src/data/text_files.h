// Text files as they are named, and what they hold in pieces of bounded size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "platform/file.h"
#include "tokenizer/text_cuts.h"

namespace enxuto {

struct TextFile {
  std::string path;
  bool json_lines = false;
  bool named = false;  // by the user, not found in a folder: it has to be text
  uint64_t bytes = 0;
  int64_t modified_nanoseconds = 0;
};

// The files that `paths` name, in their order; those of a folder in the order of their names,
// whatever their depth, without hidden ones. kBadInput where a path cannot be read, kUsage where
// none is given.
Result<std::vector<TextFile>> find_text_files(const std::vector<std::string>& paths);

// How a text begins tells whether it is one: no zeros, hardly any bytes that are no UTF-8.
bool looks_like_text(std::string_view beginning);
bool is_blank(std::string_view text);
// Bytes that the tokenizer takes for U+FFFD.
uint64_t malformed_bytes(std::string_view text);

inline constexpr size_t kPartBytes = size_t{128} << 10;    // cut at the last place before this…
inline constexpr size_t kMostPartBytes = size_t{1} << 20;  // …or before this; else here

// Bytes of the first part of `text` that may be encoded by itself; 0 where more of an incomplete
// text has to be known.
size_t first_part(std::string_view text, bool complete, const TextCuts& cuts);

// A text file in parts.
class TextParts {
 public:
  TextParts(InputFile file, const TextCuts& cuts) : file_(std::move(file)), cuts_(cuts) {}
  // An empty part ends the file. A part is valid until the next one.
  Result<std::string_view> next();

 private:
  InputFile file_;
  const TextCuts& cuts_;
  std::string buffer_;
  size_t taken_ = 0;
  bool complete_ = false;
};

// A file line by line.
class TextLines {
 public:
  TextLines(InputFile file, uint64_t most_bytes) : file_(std::move(file)), most_(most_bytes) {}
  struct Line {
    std::string_view text;  // without its end; valid until the next line
    bool too_long = false;  // longer than most_bytes: it was skipped, and has no text
    bool end = false;       // of the file: no line
  };
  Result<Line> next();
  uint64_t number() const { return number_; }  // of the last line, from 1
  uint64_t bytes() const { return bytes_; }    // read so far

 private:
  Status fill();

  InputFile file_;
  uint64_t most_, number_ = 0, bytes_ = 0;
  std::string buffer_;
  size_t taken_ = 0;
  bool complete_ = false;
};

}  // namespace enxuto
