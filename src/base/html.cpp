#include "base/html.h"

#include <fmt/format.h>

namespace enxuto {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --paper: #ffffff; --line: #d1d9e0;
  --bar: #1f6f8b; --heat: #b4530a; --good: #1a7f37; --bad: #b3261e; --tint: #eaf5ec; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --paper: #0d1117;
  --line: #3d444d; --bar: #58b4d1; --heat: #f0883e; --good: #4ac26b; --bad: #ff8a80; --tint: #12261a;
  --card: #161b22; } }
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
.scroll svg.wide { min-width: 42rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; margin: 1.4rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem 1rem; }
.card b { display: block; white-space: nowrap; font-size: 1.2rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card small { color: var(--soft); font-size: .9rem; font-weight: 400; }
.card span { display: block; color: var(--soft); font-size: .9rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; color: var(--soft); font-size: .85rem; }
.swatch { display: inline-block; width: .9rem; height: .9rem; border-radius: .15rem; margin-right: .4rem;
  vertical-align: -.1rem; background: var(--bar); } .swatch.heat { background: var(--heat); }
.swatch.rest { background: var(--soft); }
.meter { display: inline-block; width: 9rem; height: .6rem; border-radius: .3rem; background: var(--line); }
.meter span { display: block; height: 100%; border-radius: .3rem; background: var(--bar); }
summary { cursor: pointer; color: var(--bar); margin: .6rem 0; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .faint { opacity: .45; }
svg .under { fill: var(--bar); opacity: .09; } svg .small { font-size: 12px; } svg .cell { font-size: 10.5px; }
svg .curve { fill: none; stroke: var(--bar); stroke-width: 2.5; stroke-linejoin: round; }
svg .dot { fill: var(--bar); } svg .mix { fill: var(--paper); stroke: var(--heat); stroke-width: 2; }
svg .leader { stroke: var(--soft); stroke-width: 1; } svg .mixed { fill: var(--heat); } svg .strong { font-weight: 600; }
svg .chosen { fill: var(--paper); stroke: var(--bar); stroke-width: 4; }
svg .drop { stroke: var(--bar); stroke-width: 1.5; stroke-dasharray: 3 4; }
svg .heat { fill: var(--heat); } svg .rest { fill: var(--soft); } svg .bright { fill: var(--paper); }
)";

constexpr const char* kText = " class=\"text\"";

}  // namespace

std::string html_escaped(std::string_view text) {
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

std::string html_begin(std::string_view title, std::string_view heading) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<h1>{}</h1>\n",
      html_escaped(title), kStyle, html_escaped(heading));
}

HtmlTable::HtmlTable(std::vector<std::string> headings) {
  for (std::string& heading : headings) {
    is_text_.push_back(heading.starts_with('<'));
    if (is_text_.back()) heading.erase(0, 1);
    rows_ += fmt::format("<th scope=\"col\"{}>{}</th>", is_text_.back() ? kText : "", heading);
  }
  rows_ = fmt::format("<thead><tr>{}</tr></thead><tbody>\n", rows_);
}

void HtmlTable::add(const std::vector<std::string>& cells) {
  rows_ += "<tr>";
  for (size_t i = 0; i < cells.size(); ++i)
    rows_ += fmt::format("<td{}>{}</td>", is_text_[i] ? kText : "", cells[i]);
  rows_ += "</tr>\n";
}

std::string HtmlTable::html() const {
  return fmt::format("<div class=\"scroll\"><table>{}</tbody></table></div>\n", rows_);
}

}  // namespace enxuto
