#include "cli/terminal_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "cli/utf8.h"

namespace enxuto {

Paint::Paint(Stream stream) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  on_ =
      is_terminal(stream) && (!no_color || !*no_color) && term && std::string_view(term) != "dumb";
}

std::string Paint::wrap(const char* code, std::string_view text) const {
  return on_ ? fmt::format("\033[{}m{}\033[0m", code, text) : std::string(text);
}

std::string printable(std::string_view text, std::string_view kept) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length_at(text, i);
    const auto first = static_cast<unsigned char>(text[i]);
    // C0, DEL, and C1 (which UTF-8 writes as c2 80 … c2 9f).
    const bool control =
        first < 0x20 || first == 0x7f ||
        (first == 0xc2 && length == 2 && static_cast<unsigned char>(text[i + 1]) < 0xa0);
    if (length == 0 || (control && kept.find(text[i]) == kept.npos))
      out += "\uFFFD";
    else
      out += text.substr(i, length);
    i += std::max<size_t>(1, length);
  }
  return out;
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033') {
      i = std::min(text.find('m', i), text.size());
      continue;
    }
    width += (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
  }
  return width;
}

std::string bar(double share, int width) {
  const int eighths = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width * 8));
  static constexpr const char* kPartial[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  out += kPartial[eighths % 8];
  return out;
}

void Table::print(const Paint& paint) const {
  std::vector<size_t> widths;
  std::vector<bool> right;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) {
      const bool marked = &row == &rows_.front() && row[c].starts_with('>');
      widths[c] = std::max(widths[c], display_width(row[c]) - marked);
      if (&row == &rows_.front()) right.push_back(marked);
    }
  }
  for (const auto& row : rows_) {
    const bool heading = &row == &rows_.front();
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string cell = heading && right[c] ? row[c].substr(1) : row[c];
      const std::string space(widths[c] - display_width(cell), ' ');
      const std::string shown = heading ? paint.dim(cell) : cell;
      const bool to_right = c < right.size() && right[c];
      line += c ? "  " : "";
      line += to_right ? space + shown : shown + space;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

void print_error(const Status& status) {
  std::fflush(stdout);  // what was reported comes before what went wrong
  const Paint paint(Stream::kError);
  fmt::print(stderr, "{} {}\n", paint.red("enxuto:"), printable(status.what()));
  if (!status.todo().empty()) fmt::print(stderr, "  {}\n", printable(status.todo()));
}

void print_note(const std::string& text) {
  const Paint paint(Stream::kError);
  fmt::print(stderr, "{} {}\n", paint.dim("enxuto:"), paint.dim(text));
}

}  // namespace enxuto
