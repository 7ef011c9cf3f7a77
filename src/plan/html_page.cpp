#include "plan/html_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"

namespace enxuto {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --paper: #ffffff; --line: #d1d9e0;
  --bar: #1f6f8b; --good: #1a7f37; --bad: #b3261e; --tint: #eaf5ec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --paper: #0d1117;
  --line: #3d444d; --bar: #58b4d1; --good: #4ac26b; --bad: #ff8a80; --tint: #12261a; } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
h3 { font-size: 1rem; margin-bottom: 0; } p { margin-top: .3rem; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child, .text { text-align: left; } .text { white-space: normal; }
td.fits { background: var(--tint); } td.not { color: var(--soft); }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 14px system-ui, sans-serif; }
svg .bar { fill: var(--bar); } svg .budget { stroke: var(--bad); stroke-width: 2; stroke-dasharray: 5 4; }
svg .quiet { fill: var(--soft); }
)";

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += static_cast<unsigned char>(c) < 32 ? ' ' : c;
    }
  return safe;
}

// Bars by part and one for the total, with the budget as a line across.
std::string chart(const PlanPage& page) {
  constexpr double kLeft = 130, kRight = 110, kWidth = 960, kRow = 30;
  const uint64_t total = page.map.total_bytes();
  // A budget far beyond the total would make the bars too short to compare: it is left out.
  const bool near = page.budget_bytes < total + total / 2;
  const uint64_t longest = near ? std::max(total, page.budget_bytes) : total;
  const double scale =
      (kWidth - kLeft - kRight) / std::max<double>(1, static_cast<double>(longest));
  const double height = kRow * static_cast<double>(page.map.parts.size() + 1) + 30;
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Memory by part; {} in all, {} "
      "allowed\">\n",
      kWidth, height, format_bytes(total), format_bytes(page.budget_bytes));
  double y = 4;
  const auto add = [&](const std::string& name, uint64_t bytes) {
    const double width = std::max(1.0, static_cast<double>(bytes) * scale);
    svg += fmt::format(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>"
        "<rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"20\" rx=\"2\"/>"
        "<text class=\"quiet\" x=\"{:.1f}\" y=\"{}\">{}</text>\n",
        kLeft - 10, y + 15, escaped(name), kLeft, y, width, kLeft + width + 8, y + 15,
        format_bytes(bytes));
    y += kRow;
  };
  for (const MemoryPart& part : page.map.parts) add(part.owner, part.bytes);
  add("total", total);
  if (!near) return svg + "</svg>\n";
  const double x = kLeft + static_cast<double>(page.budget_bytes) * scale;
  svg += fmt::format(
      "<line class=\"budget\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"0\" y2=\"{1}\"/>"
      "<text x=\"{0:.1f}\" y=\"{2}\" text-anchor=\"end\">{3} allowed</text>\n</svg>\n",
      x, y, y + 18, format_bytes(page.budget_bytes));
  return svg;
}

std::string parts_table(const MemoryMap& map) {
  std::string html =
      "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">part</th><th "
      "scope=\"col\">bytes</th>"
      "<th scope=\"col\" class=\"text\">why</th><th scope=\"col\" "
      "class=\"text\">when</th></tr></thead>"
      "<tbody>\n";
  for (const MemoryPart& part : map.parts)
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td class=\"text\">{}</td><td class=\"text\">{}</td></tr>\n",
        escaped(part.owner), format_count(part.bytes), escaped(part.why), escaped(part.when));
  return html + fmt::format(
                    "<tr><td><b>total</b></td><td><b>{}</b></td><td></td><td></td></tr>\n"
                    "</tbody></table></div>\n",
                    format_count(map.total_bytes()));
}

std::string choice_row(const ChoiceTable& table, const MixChoice& mix, bool speed) {
  std::string row =
      fmt::format("<tr><td>{}</td><td>{}</td><td>{:.2f}</td><td>{:.4f}</td>", escaped(mix.mix),
                  format_bytes(mix.file_bytes), mix.bits_per_weight, mix.expected_kld);
  if (speed) row += fmt::format("<td>{:.1f}</td>", mix.expected_tokens_per_second);
  for (const Combination& c : mix.combinations)
    if (c.batch == table.batch)
      row += fmt::format("<td class=\"{}\">{}{}</td>", c.fits ? "fits" : "not",
                         c.fits ? "✓ " : "✗ ", format_bytes(c.total_bytes));
  return row + fmt::format("<td>{}</td></tr>\n",
                           mix.largest_context ? format_count(mix.largest_context) : "none");
}

std::string choices_section(const ChoiceTable& table) {
  const bool speed = table.mixes.front().expected_tokens_per_second > 0;
  std::string html = fmt::format(
      "<h2>What fits</h2>\n<p class=\"soft\">Total memory by number formats and tokens of context, "
      "passes of {} tokens, {} sequence{}. Loss (mean KL divergence from the model as it is, in "
      "nats){} are estimates by rule of thumb.</p>\n",
      table.batch, table.sequences, table.sequences == 1 ? "" : "s", speed ? " and speed" : "");
  html +=
      "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">formats</th><th "
      "scope=\"col\">file</th>"
      "<th scope=\"col\">bits</th><th scope=\"col\">~loss</th>";
  if (speed) html += "<th scope=\"col\">~tokens/s</th>";
  for (const uint32_t context : table.contexts)
    html += fmt::format("<th scope=\"col\">{}</th>", format_count(context));
  html += "<th scope=\"col\">longest context</th></tr></thead><tbody>\n";
  for (const MixChoice& mix : table.mixes) html += choice_row(table, mix, speed);
  html += "</tbody></table></div>\n";
  if (!table.recommendation)
    return html + "<p><b>Recommended:</b> none of these fits, even with a short context.</p>\n";
  const Recommendation& r = *table.recommendation;
  return html +
         fmt::format("<p><b>Recommended: <span class=\"good\">{}</span></b>, {} in all: {}.</p>\n",
                     escaped(r.mix), format_bytes(r.total_bytes), escaped(r.reason));
}

std::string lessons_section(const std::vector<Lesson>& lessons) {
  std::string html = "<h2>Where the memory goes</h2>\n";
  for (const Lesson& lesson : lessons)
    html += fmt::format("<h3>{}</h3>\n<p>{}</p>\n", escaped(lesson.title), escaped(lesson.text));
  return html;
}

}  // namespace

std::string html_page(const PlanPage& page) {
  const uint64_t total = page.map.total_bytes();
  const bool fits = total <= page.budget_bytes;
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Memory of {0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n"
      "<p class=\"soft\">What it takes to {2}, planned before anything is taken</p>\n"
      "<p><b class=\"{3}\">{4}</b>: {5} needed, {6} allowed ({7})</p>\n",
      escaped(page.title), kStyle, escaped(page.goal), fits ? "good" : "bad",
      fits ? "It fits" : "It does not fit", format_bytes(total), format_bytes(page.budget_bytes),
      escaped(page.budget_source));
  html += chart(page) + parts_table(page.map);
  if (page.choices) html += choices_section(*page.choices);
  if (!page.lessons.empty()) html += lessons_section(page.lessons);
  return html + "</body>\n</html>\n";
}

}  // namespace enxuto
