#include "cli/curve_report.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "cli/model_parts.h"

namespace enxuto {
namespace {

// "Q4_K 61 %, Q5_K 30 %": the most used, three at most.
std::string mostly(const std::vector<FormatUse>& formats) {
  constexpr size_t kMost = 3;
  double all = 0;
  for (const FormatUse& use : formats) all += static_cast<double>(use.parameters);
  std::string text;
  for (size_t i = 0; i < std::min(kMost, formats.size()); ++i) {
    const double percent = 100 * static_cast<double>(formats[i].parameters) / all;
    if (i > 0 && percent < 1) break;
    text += fmt::format("{}{} {:.0f} %", i ? ", " : "", find_codec(formats[i].type)->name, percent);
  }
  return text;
}

// Where values lie between the least and the largest that is not 0, by their logarithm.
class LogScale {
 public:
  explicit LogScale(const Curve& curve) {
    for (const CurvePoint& point : curve.points)
      if (point.predicted_kld > 0) {
        const double log = std::log(point.predicted_kld);
        low_ = std::min(low_, log), high_ = std::max(high_, log);
      }
  }
  double share(double value) const {
    if (value <= 0 || high_ <= low_) return value > 0;
    return (std::log(value) - low_) / (high_ - low_);
  }

 private:
  double low_ = INFINITY, high_ = -INFINITY;
};

void print_mixes(const Curve& curve, const Paint& paint) {
  if (curve.mixes.empty()) return;
  Table table({">bytes", ">its KLD", ">allocated", ">ratio", "one format"});
  for (auto mix = curve.mixes.begin(); mix != curve.mixes.end();) {
    const MixPoint& first = *mix;
    std::string names = first.mix;
    while (++mix != curve.mixes.end() && mix->file_bytes == first.file_bytes &&
           mix->predicted_kld == first.predicted_kld)
      names += ", " + mix->mix;
    table.add({format_count(first.file_bytes), fmt::format("{:.4f}", first.predicted_kld),
               fmt::format("{:.4f}", first.allocated_kld),
               first.predicted_kld > 0
                   ? fmt::format("{:.2f}", first.allocated_kld / first.predicted_kld)
                   : std::string("-"),
               names});
  }
  fmt::print(
      "\nOne format for every weight (another where its rows do not divide), rounded as compress "
      "rounds,\nbeside formats allocated tensor by tensor in the same bytes\n");
  table.print(paint);
}

}  // namespace

Json curve_json(const Curve& curve, const Model& model, uint64_t written_bytes) {
  const uint64_t parameters = compose(model).total.parameters;
  Json points = Json::array(), mixes = Json::array();
  for (const CurvePoint& point : curve.points) {
    Json formats = Json::array();
    for (const FormatUse& use : point.formats)
      formats.push_back({{"format", find_codec(use.type)->name}, {"parameters", use.parameters}});
    points.push_back({{"target_bytes", point.target_bytes},
                      {"file_bytes", point.file_bytes},
                      {"bits_per_weight", bits_per_weight(point.file_bytes, parameters)},
                      {"predicted_kld", point.predicted_kld},
                      {"chosen", point.file_bytes == written_bytes},
                      {"formats", formats}});
  }
  for (const MixPoint& mix : curve.mixes)
    mixes.push_back({{"mix", mix.mix},
                     {"file_bytes", mix.file_bytes},
                     {"bits_per_weight", bits_per_weight(mix.file_bytes, parameters)},
                     {"predicted_kld", mix.predicted_kld},
                     {"allocated_kld", mix.allocated_kld}});
  return {{"curve", points}, {"mixes", mixes}};
}

void print_curve(const Curve& curve, const Model& model, uint64_t written_bytes,
                 const Paint& paint) {
  const uint64_t parameters = compose(model).total.parameters;
  const LogScale scale(curve);
  Table table({">bytes", ">bits", ">KLD", "", "mostly"});
  for (const CurvePoint& point : curve.points) {
    table.add(
        {format_count(point.file_bytes),
         fmt::format("{:.2f}", bits_per_weight(point.file_bytes, parameters)),
         fmt::format("{:.4f}", point.predicted_kld),
         paint.cyan(bar(scale.share(point.predicted_kld), 20)),
         mostly(point.formats) +
             (point.file_bytes == written_bytes ? paint.bold("  ← this file") : std::string())});
  }
  fmt::print("Predicted KL divergence (nats; bars by its logarithm) of files of these sizes\n");
  table.print(paint);
  print_mixes(curve, paint);
}

}  // namespace enxuto
