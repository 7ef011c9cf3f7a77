#include "cli/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/html.h"
#include "cli/terminal_text.h"

namespace enxuto {
namespace {

// Of the 12 pixels' font that charts write in: names are no wider on average.
constexpr double kCharacter = 7.8, kLine = 15, kDescent = 4;
constexpr double kFar = 28, kMark = 7;  // from here on a line leads from the mark to its label

struct Place {
  double dx, dy;
  const char* anchor;
};
constexpr Place kAbove[] = {{9, -7, "start"},   {0, -12, "middle"}, {10, 4, "start"},
                            {12, -20, "start"}, {-10, -8, "end"},   {0, -26, "middle"},
                            {0, -34, "middle"}, {16, -34, "start"}, {10, 18, "start"},
                            {-10, 20, "end"},   {-14, -24, "end"},  {0, 24, "middle"}};
constexpr Place kBelow[] = {{-13, 22, "end"},   {-13, 40, "end"},  {0, 30, "middle"},
                            {13, -14, "start"}, {13, 24, "start"}, {13, -34, "start"}};

}  // namespace

void Labels::keep_clear(double ax, double ay, double bx, double by) {
  constexpr double kStep = 5, kAround = 2.5;
  const int steps = std::max(1, static_cast<int>(std::hypot(bx - ax, by - ay) / kStep));
  for (int i = 0; i <= steps; ++i)
    keep_clear(ax + (bx - ax) * i / steps, ay + (by - ay) * i / steps, kAround);
}

void Labels::keep_clear(double x, double y, double radius) {
  taken_.push_back({x - radius, y - radius, x + radius, y + radius});
}

bool Labels::is_free(const Box& box) const {
  return box.left >= 0 && box.top >= 0 && box.right <= width_ && box.bottom <= height_ &&
         std::ranges::none_of(taken_, [&](const Box& other) {
           return box.left < other.right && other.left < box.right && box.top < other.bottom &&
                  other.top < box.bottom;
         });
}

std::string Labels::place(std::string_view text, const char* style, double x, double y,
                          bool below) {
  const double width = kCharacter * static_cast<double>(display_width(text));
  const auto places = below ? std::span<const Place>(kBelow) : std::span<const Place>(kAbove);
  for (const auto& [dx, dy, anchor] : places) {
    const double at = x + dx, base = y + dy;
    const double left = *anchor == 's' ? at : *anchor == 'e' ? at - width : at - width / 2;
    const Box box{left, base - kLine + kDescent, left + width, base + kDescent};
    if (!is_free(box)) continue;
    taken_.push_back(box);
    std::string leader;
    if (const double far = std::hypot(dx, dy); far >= kFar)
      leader = fmt::format(
          "<line class=\"leader\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>",
          x + kMark * dx / far, y + kMark * dy / far, at, dy < 0 ? box.bottom : box.top);
    return leader +
           fmt::format(
               "<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", style,
               at, base, anchor, html_escaped(text));
  }
  return "";
}

}  // namespace enxuto
