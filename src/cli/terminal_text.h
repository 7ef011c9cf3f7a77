// Text for people: colour only where a terminal shows it, columns that line up, and nothing from a
// file that could drive the terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "platform/terminal.h"

namespace enxuto {

// Wraps text in colour where `stream` is a terminal and NO_COLOR is not set.
class Paint {
 public:
  explicit Paint(Stream stream);
  std::string bold(std::string_view text) const { return wrap("1", text); }
  std::string dim(std::string_view text) const { return wrap("2", text); }
  std::string red(std::string_view text) const { return wrap("1;31", text); }
  std::string green(std::string_view text) const { return wrap("32", text); }
  std::string cyan(std::string_view text) const { return wrap("36", text); }

 private:
  std::string wrap(const char* code, std::string_view text) const;
  bool on_;
};

// The text with control characters (but those in `kept`) and malformed UTF-8 replaced: for names
// that files contain, and for what models write.
std::string printable(std::string_view text, std::string_view kept = {});

// Places on the screen: characters of UTF-8, escape sequences of Paint not counted.
size_t display_width(std::string_view text);

// `share` in [0, 1] as a bar of `width` places.
std::string bar(double share, int width);

// Rows of cells, lined up. The first row is the heading; columns whose heading starts with '>' are
// aligned to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) { rows_.push_back(std::move(heading)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void print(const Paint& paint) const;  // to standard output

 private:
  std::vector<std::vector<std::string>> rows_;
};

// "enxuto: what", and below it what to do.
void print_error(const Status& status);
void print_note(const std::string& text);  // "enxuto: text" on standard error

}  // namespace enxuto
