#include "cli/step_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/html.h"

namespace enxuto {
namespace {

constexpr double kWidth = 860, kLeft = 64, kRight = kWidth - 36, kTop = 30;

std::string short_count(double count) {
  for (const auto& [unit, name] : {std::pair(1e9, "G"), {1e6, "M"}, {1e3, "k"}})
    if (count >= unit) return fmt::format("{:.3g} {}", count / unit, name);
  return fmt::format("{:.0f}", count);
}

class Drawing {
 public:
  explicit Drawing(const StepChart& chart) : chart_(chart), bottom_(chart.height - 48) {
    last_ = std::max(chart.curve.back().first, chart.curve.front().first + 1);
    first_ = std::min(1.0, chart.curve.front().first);
    if (chart.from_zero) low_ = 0;
    for (const auto* points : {&chart.curve, &chart.faint, &chart.dots})
      for (const auto& [step, value] : *points)
        low_ = std::min(low_, value), high_ = std::max(high_, value);
    if (high_ - low_ < 1e-9 * std::fabs(high_) + 1e-30) high_ = low_ + std::fabs(low_) + 1e-9;
    const double room = 0.04 * (high_ - low_);
    high_ += room;
    if (!chart.from_zero) low_ -= room;
  }

  std::string svg() const {
    std::string svg = fmt::format(
        "<div class=\"scroll\"><svg class=\"wide\" viewBox=\"0 0 {} {}\" role=\"img\" "
        "aria-label=\"{} by step\">\n<text class=\"quiet small\" x=\"0\" y=\"14\">{}</text>\n",
        kWidth, chart_.height, html_escaped(chart_.label), html_escaped(chart_.label));
    svg += steps() + values();
    if (!chart_.faint.empty()) svg += line(chart_.faint, "curve faint");
    svg += line(chart_.curve, "curve");
    for (const auto& [step, value] : chart_.dots)
      svg += fmt::format(
          "<rect class=\"mix\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"6\" height=\"6\"><title>step "
          "{:.0f}: {:.4g}</title></rect>\n",
          x(step) - 3, y(value) - 3, step, value);
    return svg + "</svg></div>\n";
  }

 private:
  double x(double step) const {
    return kLeft + (step - first_) / (last_ - first_) * (kRight - kLeft);
  }
  double y(double value) const {
    return bottom_ - (value - low_) / (high_ - low_) * (bottom_ - kTop);
  }

  double tokens_at(double step) const {
    const auto after =
        std::ranges::lower_bound(chart_.tokens, step, {}, &std::pair<double, double>::first);
    return after == chart_.tokens.end() ? chart_.tokens.back().second : after->second;
  }

  std::string steps() const {
    constexpr double kTicks = 5;
    const double each = std::max(1.0, round_step((last_ - first_) / kTicks));
    std::string svg;
    for (double step = std::ceil(first_ / each) * each; step <= last_; step += each) {
      svg += fmt::format(
          "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
          "<text class=\"small\" x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
          x(step), kTop, bottom_, bottom_ + 20, format_count(static_cast<uint64_t>(step)));
      if (!chart_.tokens.empty())
        svg += fmt::format(
            "<text class=\"quiet small\" x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{} "
            "tokens</text>\n",
            x(step), bottom_ + 38, short_count(tokens_at(step)));
    }
    return svg;
  }

  std::string values() const {
    constexpr double kTicks = 4;
    const double each = round_step((high_ - low_) / kTicks);
    std::string svg;
    for (double value = std::ceil(low_ / each) * each; value <= high_; value += each)
      svg += fmt::format(
          "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
          "<text class=\"small\" x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5:.3g}</text>\n",
          kLeft, kRight, y(value), kLeft - 8, y(value) + 4,
          std::fabs(value) < each / 2 ? 0.0 : value);
    return svg;
  }

  std::string line(const StepChart::Points& points, const char* style) const {
    std::string all;
    for (const auto& [step, value] : points)
      all += fmt::format("{:.1f},{:.1f} ", x(step), y(value));
    return fmt::format("<polyline class=\"{}\" points=\"{}\"/>\n", style, all);
  }

  const StepChart& chart_;
  double bottom_, first_, last_, low_ = INFINITY, high_ = -INFINITY;
};

}  // namespace

double round_step(double most) {
  const double power = std::pow(10, std::floor(std::log10(most)));
  for (const double times : {5.0, 2.0})
    if (times * power <= most) return times * power;
  return power;
}

std::string step_chart(const StepChart& chart) {
  return chart.curve.empty() ? "" : Drawing(chart).svg();
}

}  // namespace enxuto
