#include "cli/heat_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/html.h"

namespace enxuto {
namespace {

constexpr double kWidth = 860, kLeft = 112, kRight = kWidth - 70, kTop = 22, kRow = 24, kGap = 2;
constexpr double kWidestCell = 64, kReadableCell = 20;

std::string cell_svg(const HeatMap& map, const HeatCell& cell, double x, double y, double width) {
  constexpr double kDark = 0.78;  // from here on, text on it is of the paper's colour
  const double opacity = opacity_of(cell.heat);
  std::string svg = fmt::format(
      "<g><title>{}</title><rect class=\"{}\" fill-opacity=\"{:.3f}\" x=\"{:.1f}\" y=\"{:.1f}\" "
      "width=\"{:.1f}\" height=\"{}\" rx=\"2\"/>",
      html_escaped(cell.title), map.style, opacity, x, y, width, kRow - kGap);
  if (width >= kReadableCell && !cell.text.empty())
    svg += fmt::format(
        "<text class=\"cell{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>",
        opacity > kDark ? " bright" : "", x + width / 2, y + 15, html_escaped(cell.text));
  return svg + "</g>\n";
}

// The numbers of layers, every so many that they do not touch.
std::string layer_axis(uint32_t n_layers, double cell) {
  constexpr double kRoom = 26;
  uint32_t step = 1;
  for (const uint32_t next : {1, 2, 5, 10, 20, 50, 100})
    if (step * cell < kRoom) step = next;
  std::string svg;
  for (uint32_t l = 0; l < n_layers; l += step)
    svg += fmt::format(
        "<text class=\"quiet cell\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        kLeft + (l + 0.5) * cell, kTop - 7, l);
  return svg + fmt::format(
                   "<text class=\"quiet cell\" x=\"{}\" y=\"{}\" text-anchor=\"end\">layer"
                   "</text>\n",
                   kLeft - 10, kTop - 7);
}

}  // namespace

double opacity_of(double heat) { return 0.1 + 0.9 * std::clamp(heat, 0.0, 1.0); }

std::string heat_map(const HeatMap& map) {
  uint32_t n_layers = 0;
  for (const HeatCell& cell : map.cells)
    if (cell.layer) n_layers = std::max(n_layers, *cell.layer + 1);
  const double cell_width =
      n_layers ? std::min(kWidestCell, (kRight - kLeft) / n_layers) : kRight - kLeft;
  const double row_width = n_layers ? cell_width * n_layers : cell_width;
  std::set<std::string> kinds;
  for (const HeatCell& cell : map.cells) kinds.insert(cell.kind);
  std::string svg = fmt::format(
      "<div class=\"scroll\"><svg class=\"wide\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"{}\">\n{}",
      kWidth, kTop + kRow * static_cast<double>(kinds.size()) + 4, html_escaped(map.what),
      layer_axis(n_layers, cell_width));
  double y = kTop;
  for (const std::string& kind : kinds) {
    svg += fmt::format(
        "<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>"
        "<text class=\"quiet small\" x=\"{:.1f}\" y=\"{}\">{}</text>\n",
        kLeft - 10, y + 15, html_escaped(kind), kLeft + row_width + 8, y + 15,
        html_escaped(map.summary(kind)));
    for (const HeatCell& cell : map.cells) {
      if (cell.kind != kind) continue;
      const double x = kLeft + (cell.layer ? *cell.layer * cell_width : 0);
      svg += cell_svg(map, cell, x, y, (cell.layer ? cell_width : row_width) - kGap);
    }
    y += kRow;
  }
  return svg + "</svg></div>\n";
}

}  // namespace enxuto
