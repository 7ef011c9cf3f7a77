// Pages of HTML that need nothing else: one look for all of them. They are well-formed XML, too.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace enxuto {

// Safe between tags and in quoted attributes.
std::string html_escaped(std::string_view text);

// From the doctype to the heading; the body goes on after it.
std::string html_begin(std::string_view title, std::string_view heading);
inline constexpr const char* kHtmlEnd = "</body>\n</html>\n";

// Rows of cells under headings, all of it HTML already. Where a heading starts with '<' the column
// is of text, aligned to the left.
class HtmlTable {
 public:
  explicit HtmlTable(std::vector<std::string> headings);
  void add(const std::vector<std::string>& cells);  // as many as there are headings
  std::string html() const;

 private:
  std::vector<bool> is_text_;
  std::string rows_;
};

}  // namespace enxuto
