#include "cli/usage_page.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/html.h"

namespace enxuto {
namespace {

uint64_t number(const Json& value) { return value.is_number() ? value.get<uint64_t>() : 0; }

std::string cell(const Json& value) {
  if (value.is_null()) return "–";
  if (value.is_string()) return html_escaped(value.get<std::string>());
  if (value.is_number_float()) return fmt::format("{:.4g}", value.get<double>());
  if (value.is_number()) return format_count(value.get<uint64_t>());
  return html_escaped(value.dump());
}

// "peak_rss_bytes" as "peak rss bytes".
std::string words(std::string key) {
  std::ranges::replace(key, '_', ' ');
  return html_escaped(key);
}

// The single values of an object, one a row.
std::string facts(const Json& object) {
  std::string html = "<div class=\"scroll\"><table><tbody>\n";
  for (const auto& [key, value] : object.items())
    if (!value.is_structured())
      html += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", words(key), cell(value));
  return html + "</tbody></table></div>\n";
}

// A list of objects with the same keys.
std::string list(const Json& rows) {
  std::vector<std::string> headings;
  for (const auto& [key, value] : rows.front().items())
    headings.push_back((value.is_string() ? "<" : "") + words(key));
  HtmlTable table(headings);
  for (const Json& row : rows) {
    std::vector<std::string> cells;
    for (const Json& value : row) cells.push_back(cell(value));
    table.add(cells);
  }
  return table.html();
}

std::string line_of(const Json& values, double x_step, double bottom, double scale) {
  std::string points;
  double x = 0;
  for (const Json& value : values) {
    points += fmt::format("{:.1f},{:.1f} ", x, bottom - static_cast<double>(number(value)) * scale);
    x += x_step;
  }
  return points;
}

// Memory over time: what the kernel counted, the pages of files in it, and the plan as a line
// across.
std::string chart(const Json& memory) {
  constexpr double kWidth = 960, kHeight = 220, kTop = 24, kBottom = kHeight - 24;
  const Json& rss = memory["rss_bytes"];
  uint64_t most = std::max<uint64_t>(1, number(memory["planned_bytes"]));
  for (const Json& value : rss) most = std::max(most, number(value));
  const double scale = (kBottom - kTop) / static_cast<double>(most);
  const double step = kWidth / std::max<double>(1, static_cast<double>(rss.size()) - 1);
  const double plan = kBottom - static_cast<double>(number(memory["planned_bytes"])) * scale;
  const double seconds = memory["seconds"].get<double>();
  const auto curve = [&](const Json& values, const char* style) {
    return fmt::format("<polyline fill=\"none\" style=\"{}\" points=\"{}\"/>\n", style,
                       line_of(values, step, kBottom, scale));
  };
  return fmt::format(
             "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Memory over {:.1f} seconds\">\n",
             kWidth, kHeight, seconds) +
         curve(rss, "stroke: var(--bar); stroke-width: 2.5") +
         curve(memory["mapped_bytes"], "stroke: var(--soft); stroke-width: 1.5") +
         fmt::format(
             "<line class=\"budget\" x1=\"0\" x2=\"{0}\" y1=\"{1:.1f}\" y2=\"{1:.1f}\"/>"
             "<text x=\"4\" y=\"{2:.1f}\">{3} planned</text>"
             "<text class=\"quiet\" x=\"0\" y=\"{4}\">0 s</text>"
             "<text class=\"quiet\" x=\"{0}\" y=\"{4}\" text-anchor=\"end\">{5:.1f} s</text>\n"
             "</svg>\n",
             kWidth, plan, plan - 6, format_bytes(number(memory["planned_bytes"])), kHeight - 4,
             seconds) +
         "<p class=\"soft\">Bold: memory in use; thin: pages of files in it; dashed: the "
         "plan.</p>\n";
}

}  // namespace

std::string memory_section(const Json& memory) {
  const uint64_t planned = number(memory["planned_bytes"]), peak = number(memory["peak_rss_bytes"]);
  return fmt::format("<p><b class=\"{}\">{}</b>: {} planned, {} at the peak</p>\n",
                     peak <= planned ? "good" : "bad",
                     peak <= planned ? "As planned" : "More than planned", format_bytes(planned),
                     format_bytes(peak)) +
         chart(memory) + "<h2>Plan against measurement</h2>\n" + list(memory["parts"]) +
         facts(memory);
}

std::string usage_page(const Json& report) {
  const auto name = report["model"].get<std::string>();
  const auto command = report["command"].get<std::string>();
  std::string html = html_begin("enxuto " + command + " " + name, name);
  html += fmt::format("<p class=\"soft\">What it took to {}</p>\n", html_escaped(command));
  html += memory_section(report["memory"]);
  html += "<h2>Results</h2>\n" + facts(report);
  for (const auto& [key, value] : report.items())
    if (value.is_array() && !value.empty() && value.front().is_object())
      html += fmt::format("<h2>{}</h2>\n", words(key)) + list(value);
  return html + kHtmlEnd;
}

}  // namespace enxuto
