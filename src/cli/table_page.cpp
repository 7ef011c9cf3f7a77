#include "cli/table_page.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/html.h"
#include "platform/file.h"

namespace enxuto {
namespace {

constexpr size_t kShownPairs = 20;

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

Json nearest_json(const NearestRows& rows) {
  return {{"median_distance", rows.median},
          {"fifth_percentile_distance", rows.fifth_percentile},
          {"copied_share", rows.copied}};
}

// Two bars for each category or range: real above, made below.
std::string bars(const ColumnComparison& c) {
  constexpr int kWidth = 480, kHeight = 56;
  if (c.real.empty()) return "constant, or nothing there";
  const double most = std::max({std::ranges::max(c.real), std::ranges::max(c.made), 1e-9});
  const double step = static_cast<double>(kWidth) / static_cast<double>(c.real.size());
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\">", kWidth, kHeight);
  const auto add = [&](size_t i, double share, double offset, const char* kind) {
    const double height = (kHeight - 2) * share / most;
    svg += fmt::format(
        "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
        "height=\"{:.1f}\"><title>{}: "
        "real {}, made {}</title></rect>",
        kind, static_cast<double>(i) * step + offset, kHeight - height, step * 0.4, height,
        html_escaped(c.labels[i]), percent(c.real[i]), percent(c.made[i]));
  };
  for (size_t i = 0; i < c.real.size(); ++i) {
    add(i, c.real[i], 0, "rest");
    add(i, c.made[i], step * 0.42, "bar");
  }
  return svg + "</svg>";
}

std::string card(const std::string& value, const std::string& what) {
  return fmt::format("<div class=\"card\"><b>{}</b><span>{}</span></div>", value, what);
}

std::string cards(const TableComparison& c) {
  std::string html = "<div class=\"cards\">";
  html +=
      card(fmt::format("{:.3f}", c.mean_distance), "mean distance of the columns' distributions");
  html += card(fmt::format("{:.3f}", c.mean_pair_difference),
               "mean difference of the pairs' associations");
  html += card(percent(c.made.copied),
               "rows that are one of the real table" +
                   (c.held ? fmt::format("; of rows held out {}", percent(c.held->copied)) : ""));
  html += card(fmt::format("{:.3f}", c.made.median),
               "median distance to the nearest real row" +
                   (c.held ? fmt::format("; of rows held out {:.3f}", c.held->median) : ""));
  return html + "</div>";
}

std::string column_table(const TableComparison& c) {
  HtmlTable table({"<column", "<kind", "distance", "missing", "<real (grey), made (coloured)"});
  for (const ColumnComparison& column : c.columns)
    table.add({html_escaped(column.name), std::string(column.kind),
               fmt::format("{:.3f}", column.distance),
               fmt::format("{} → {}", percent(column.real_missing), percent(column.made_missing)),
               bars(column)});
  return table.html();
}

std::string pair_table(const TableComparison& c) {
  HtmlTable table({"<column", "<column", "real", "made"});
  for (size_t i = 0; i < std::min(kShownPairs, c.pairs.size()); ++i)
    table.add({html_escaped(c.pairs[i].first), html_escaped(c.pairs[i].second),
               fmt::format("{:.3f}", c.pairs[i].real), fmt::format("{:.3f}", c.pairs[i].made)});
  return table.html();
}

}  // namespace

Json comparison_json(const TableComparison& c) {
  Json columns = Json::array(), pairs = Json::array();
  for (const ColumnComparison& column : c.columns)
    columns.push_back({{"name", column.name},
                       {"kind", column.kind},
                       {"distance", column.distance},
                       {"real_missing", column.real_missing},
                       {"made_missing", column.made_missing}});
  for (const PairComparison& pair : c.pairs)
    pairs.push_back(
        {{"first", pair.first}, {"second", pair.second}, {"real", pair.real}, {"made", pair.made}});
  Json json = {{"real_rows", c.real_rows},
               {"made_rows", c.made_rows},
               {"mean_distance", c.mean_distance},
               {"mean_pair_difference", c.mean_pair_difference},
               {"nearest", nearest_json(c.made)},
               {"columns", columns},
               {"pairs", pairs}};
  if (c.held) {
    json["held_rows"] = c.held_rows;
    json["nearest_of_held"] = nearest_json(*c.held);
  }
  return json;
}

void print_comparison(const TableComparison& c, const Paint& paint) {
  Table table({"column", "kind", ">distance", ""});
  for (const ColumnComparison& column : c.columns)
    table.add({printable(column.name), std::string(column.kind),
               fmt::format("{:.3f}", column.distance), paint.cyan(bar(column.distance, 24))});
  table.print(paint);
  fmt::print("\nmean distance of columns {:.3f}, of pairs' associations {:.3f}\n", c.mean_distance,
             c.mean_pair_difference);
  if (!c.pairs.empty())
    fmt::print("farthest apart: {} and {}, real {:.2f}, made {:.2f}\n", printable(c.pairs[0].first),
               printable(c.pairs[0].second), c.pairs[0].real, c.pairs[0].made);
  fmt::print("{} of the rows are one of the real table; median distance to the nearest {:.3f}\n",
             percent(c.made.copied), c.made.median);
  if (c.held)
    fmt::print("of rows held out: {}, and {:.3f}\n", percent(c.held->copied), c.held->median);
}

Status write_table_page(const TableComparison& c, const std::string& path, bool replace) {
  std::string page = html_begin("Simulated table", "A simulated table beside the real one");
  page += fmt::format("<p class=\"soft\">{} rows made; {} real ones", format_count(c.made_rows),
                      format_count(c.real_rows));
  page += c.held ? fmt::format(", {} held out</p>", format_count(c.held_rows)) : "</p>";
  page += cards(c) + "<h2>Columns</h2>" + column_table(c);
  page +=
      "<p class=\"soft\">Distance: total variation of categories, Kolmogorov-Smirnov's of "
      "numbers; 0 the same, 1 nothing in common.</p>";
  page += "<h2>Pairs of columns, farthest apart first</h2>" + pair_table(c);
  page +=
      "<p class=\"soft\">Correlation of numbers, correlation ratio of numbers and categories, "
      "Cramér's V of categories.</p>";
  page += kHtmlEnd;
  return write_text_file(path, page, replace);
}

}  // namespace enxuto
