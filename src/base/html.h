// Pages of HTML that need nothing else: one look for all of them.
#pragma once

#include <string>
#include <string_view>

namespace enxuto {

// Safe between tags and in quoted attributes.
std::string html_escaped(std::string_view text);

// From the doctype to the heading; the body goes on after it.
std::string html_begin(std::string_view title, std::string_view heading);
inline constexpr const char* kHtmlEnd = "</body>\n</html>\n";

}  // namespace enxuto
