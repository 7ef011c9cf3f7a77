#include "cli/rate_chart.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/bytes.h"
#include "base/html.h"
#include "cli/labels.h"
#include "cli/step_chart.h"

namespace enxuto {
namespace {

constexpr double kWidth = 860, kHeight = 440;
constexpr double kLeft = 64, kRight = kWidth - 36, kTop = 30, kBottom = kHeight - 48;

struct Mark {
  double bytes, bits, kld;
  std::string name;  // of a mix, or of several that are the same
};

std::vector<Mark> marks(const Json& points) {
  std::vector<Mark> marks;
  for (const Json& point : points) {
    const Mark mark{point["file_bytes"].get<double>(), point["bits_per_weight"].get<double>(),
                    point["predicted_kld"].get<double>(), point.value("mix", "")};
    if (mark.kld <= 0) continue;  // no place on a logarithm
    if (!marks.empty() && marks.back().bytes == mark.bytes && marks.back().kld == mark.kld)
      marks.back().name += ", " + mark.name;
    else
      marks.push_back(mark);
  }
  return marks;
}

std::string about(const Mark& mark) {
  return fmt::format("{} bytes, {:.2f} bits per weight, {:.4g} nats",
                     format_count(static_cast<uint64_t>(mark.bytes)), mark.bits, mark.kld);
}

class RateChart {
 public:
  RateChart(std::vector<Mark> curve, std::vector<Mark> mixes)
      : curve_(std::move(curve)), mixes_(std::move(mixes)), labels_(kWidth, kBottom) {
    for (const auto* marks : {&curve_, &mixes_})
      for (const Mark& mark : *marks) {
        least_ = std::min(least_, mark.bytes), most_ = std::max(most_, mark.bytes);
        low_ = std::min(low_, std::log10(mark.kld)), high_ = std::max(high_, std::log10(mark.kld));
      }
    const double room = std::max((most_ - least_) * 0.03, most_ * 1e-3);
    least_ -= room, most_ += room;
    low_ -= 0.1, high_ += 0.1;
  }

  std::string svg(const Json& report) {
    std::string svg = fmt::format(
        "<svg class=\"wide\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Predicted KL "
        "divergence against bytes of the file\">\n<text class=\"quiet small\" x=\"0\" "
        "y=\"14\">KL divergence, nats (logarithmic)</text>\n",
        kWidth, kHeight);
    svg += sizes() + divergences() + line();
    for (const Mark& mark : mixes_) labels_.keep_clear(x(mark), y(mark), 6);
    for (const Json& point : report["curve"])
      if (point["chosen"].get<bool>()) svg += chosen(marks(Json::array({point})));
    for (const Mark& mark : mixes_) svg += mix(mark);
    return svg + "</svg>\n";
  }

 private:
  double x(const Mark& mark) const { return x(mark.bytes); }
  double y(const Mark& mark) const { return y(std::log10(mark.kld)); }
  double x(double bytes) const {
    return kLeft + (bytes - least_) / (most_ - least_) * (kRight - kLeft);
  }
  double y(double log) const { return kBottom - (log - low_) / (high_ - low_) * (kBottom - kTop); }

  // Ticks of bytes, and how many bits per weight they are.
  std::string sizes() const {
    constexpr double kTicks = 5;  // to 12
    const double unit = static_cast<double>(most_ >= 2 * kGiB   ? kGiB
                                            : most_ >= 2 * kMiB ? kMiB
                                                                : kKiB);
    const double step = round_step((most_ - least_) / unit / kTicks) * unit;
    std::string svg;
    for (double tick = std::ceil(least_ / step) * step; tick <= most_; tick += step)
      svg += fmt::format(
          "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
          "<text class=\"small\" x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>"
          "<text class=\"quiet small\" x=\"{0:.1f}\" y=\"{5}\" text-anchor=\"middle\">{6:.1f} "
          "bits</text>\n",
          x(tick), kTop, kBottom, kBottom + 20, format_bytes(static_cast<uint64_t>(tick)),
          kBottom + 38, tick * curve_.front().bits / curve_.front().bytes);
    return svg;
  }

  std::string divergences() const {
    std::string svg;
    const bool few = high_ - low_ < 1.5;  // decades: their parts have labels too
    for (int power = static_cast<int>(std::floor(low_)); power <= high_; ++power)
      for (const int times : {1, 2, 5}) {
        const double log = power + std::log10(times);
        if (log < low_ || log > high_) continue;
        svg += fmt::format(
            "<line class=\"grid{0}\" x1=\"{1}\" x2=\"{2}\" y1=\"{3:.1f}\" y2=\"{3:.1f}\"/>",
            times == 1 ? "" : " faint", kLeft, kRight, y(log));
        if (times == 1 || few)
          svg += fmt::format(
              "<text class=\"small\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">"
              "{:.3g}</text>\n",
              kLeft - 8, y(log) + 4, times * std::pow(10.0, power));
      }
    return svg;
  }

  std::string line() {
    std::string points, dots;
    for (size_t i = 0; i < curve_.size(); ++i) {
      const Mark& mark = curve_[i];
      points += fmt::format("{:.1f},{:.1f} ", x(mark), y(mark));
      dots += fmt::format(
          "<circle class=\"dot\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}</title></circle>\n",
          x(mark), y(mark), about(mark));
      if (i > 0) labels_.keep_clear(x(curve_[i - 1]), y(curve_[i - 1]), x(mark), y(mark));
    }
    return fmt::format(
        "<polygon class=\"under\" points=\"{0:.1f},{2} {3}{1:.1f},{2}\"/>\n"
        "<polyline class=\"curve\" points=\"{3}\"/>\n{4}",
        x(curve_.front()), x(curve_.back()), kBottom, points, dots);
  }

  std::string chosen(const std::vector<Mark>& written) {
    if (written.empty()) return "";
    const Mark& mark = written.front();
    labels_.keep_clear(x(mark), y(mark), 9);
    const std::string text = fmt::format("this file: {}, {:.3g} nats",
                                         format_bytes(static_cast<uint64_t>(mark.bytes)), mark.kld);
    return fmt::format(
               "<line class=\"drop\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2}\"/>"
               "<line class=\"drop\" x1=\"{3}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{1:.1f}\"/>"
               "<circle class=\"chosen\" cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"7\"><title>{4}</title>"
               "</circle>\n",
               x(mark), y(mark), kBottom, kLeft, about(mark)) +
           labels_.place(text, "small strong", x(mark), y(mark), true);
  }

  std::string mix(const Mark& mark) {
    return fmt::format(
               "<rect class=\"mix\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"9\" height=\"9\" "
               "transform=\"rotate(45 {:.1f} {:.1f})\"><title>{}: {}</title></rect>\n",
               x(mark) - 4.5, y(mark) - 4.5, x(mark), y(mark), html_escaped(mark.name),
               about(mark)) +
           labels_.place(mark.name, "small mixed", x(mark), y(mark), false);
  }

  std::vector<Mark> curve_, mixes_;
  Labels labels_;
  double least_ = INFINITY, most_ = 0, low_ = INFINITY, high_ = -INFINITY;
};

}  // namespace

std::string rate_chart(const Json& report) {
  std::vector<Mark> curve = marks(report["curve"]);
  if (curve.empty()) return "";
  return "<div class=\"scroll\">" +
         RateChart(std::move(curve), marks(report["mixes"])).svg(report) + "</div>\n";
}

}  // namespace enxuto
