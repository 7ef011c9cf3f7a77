#include "plan/html_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/html.h"

namespace enxuto {
namespace {

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
        kLeft - 10, y + 15, html_escaped(name), kLeft, y, width, kLeft + width + 8, y + 15,
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
        html_escaped(part.owner), format_count(part.bytes), html_escaped(part.why),
        html_escaped(part.when));
  return html + fmt::format(
                    "<tr><td><b>total</b></td><td><b>{}</b></td><td></td><td></td></tr>\n"
                    "</tbody></table></div>\n",
                    format_count(map.total_bytes()));
}

std::string choice_row(const ChoiceTable& table, const MixChoice& mix, bool speed) {
  std::string row =
      fmt::format("<tr><td>{}</td><td>{}</td><td>{:.2f}</td><td>{:.4f}</td>", html_escaped(mix.mix),
                  format_bytes(mix.file_bytes), mix.bits_per_weight, mix.expected_kld);
  if (speed) row += fmt::format("<td>{:.1f}</td>", mix.expected_tokens_per_second);
  for (const Combination& c : mix.combinations)
    if (c.batch == table.batch && c.cache == 0)
      row += fmt::format("<td class=\"{}\">{}{}</td>", c.fits ? "fits" : "not",
                         c.fits ? "✓ " : "✗ ", format_bytes(c.total_bytes));
  return row + fmt::format("<td>{}</td></tr>\n",
                           mix.largest_context ? format_count(mix.largest_context) : "none");
}

std::string caches_table(const ChoiceTable& table) {
  std::string html = fmt::format(
      "<h2>The KV cache</h2>\n<p class=\"soft\">Of {} tokens, by number format, beside the model "
      "as it is.</p>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">formats</th>"
      "<th scope=\"col\">bytes</th><th scope=\"col\">loss</th><th scope=\"col\">in all</th>"
      "<th scope=\"col\">longest context</th></tr></thead><tbody>\n",
      format_count(table.context));
  for (const CacheChoice& cache : table.caches)
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}{:.4f}</td><td class=\"{}\">{}{}</td><td>{}</td></tr>\n",
        html_escaped(cache.name), format_count(cache.bytes),
        cache.measured || cache.expected_kld == 0 ? "" : "~", cache.expected_kld,
        cache.fits ? "fits" : "not", cache.fits ? "✓ " : "✗ ", format_bytes(cache.total_bytes),
        cache.largest_context ? format_count(cache.largest_context) : "none");
  return html + "</tbody></table></div>\n";
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
  html += "</tbody></table></div>\n" + caches_table(table);
  if (!table.recommendation)
    return html + "<p><b>Recommended:</b> none of these fits, even with a short context.</p>\n";
  const Recommendation& r = *table.recommendation;
  return html +
         fmt::format(
             "<p><b>Recommended: <span class=\"good\">{}{}</span></b>, {} in all: {}.</p>\n",
             html_escaped(r.mix),
             r.cache ? ", KV cache " + html_escaped(table.caches[r.cache].name) : std::string(),
             format_bytes(r.total_bytes), html_escaped(r.reason));
}

std::string lessons_section(const std::vector<Lesson>& lessons) {
  std::string html = "<h2>Where the memory goes</h2>\n";
  for (const Lesson& lesson : lessons)
    html += fmt::format("<h3>{}</h3>\n<p>{}</p>\n", html_escaped(lesson.title),
                        html_escaped(lesson.text));
  return html;
}

}  // namespace

std::string html_page(const PlanPage& page) {
  const uint64_t total = page.map.total_bytes();
  const bool fits = total <= page.budget_bytes;
  std::string html = html_begin("Memory of " + page.title, page.title);
  html += fmt::format(
      "<p class=\"soft\">What it takes to {}, planned before anything is taken</p>\n"
      "<p><b class=\"{}\">{}</b>: {} needed, {} allowed ({})</p>\n",
      html_escaped(page.goal), fits ? "good" : "bad", fits ? "It fits" : "It does not fit",
      format_bytes(total), format_bytes(page.budget_bytes), html_escaped(page.budget_source));
  html += chart(page) + parts_table(page.map);
  if (page.choices) html += choices_section(*page.choices);
  if (!page.lessons.empty()) html += lessons_section(page.lessons);
  return html + kHtmlEnd;
}

}  // namespace enxuto
