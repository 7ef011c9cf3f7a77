// The curve of compress: each point is what a compression to its size writes.
#include <algorithm>
#include <map>

#include "plan/format_mix.h"
#include "tests/budget/budget.h"

namespace enxuto {
namespace {

class CompressCurve : public CompressBudget {
 protected:
  Result<CompressReport> curve_of(uint64_t target, const std::string& output,
                                  std::vector<Type> types = {}) {
    CompressRequest request;
    request.types = std::move(types);
    request.target_bytes = target;
    request.effort = Effort::kFast;
    request.n_threads = 2;
    request.curve = true;
    return compress(model_.get(), output, request, {});
  }

  TemporaryModel model_{tiny_model(TinyOptions()), Type::F16};
};

TEST_F(CompressCurve, MoreBytesLoseLessAndNothingIsWritten) {
  const auto report = curve_of(0, "");
  ASSERT_TRUE(report.ok()) << report.status().what();
  const auto& points = report->curve.points;
  ASSERT_GT(points.size(), 12u);
  EXPECT_EQ(points.front().file_bytes, report->smallest_bytes);
  EXPECT_LT(points.back().file_bytes, model_.get()->file_bytes);
  for (size_t i = 1; i < points.size(); ++i) {
    EXPECT_GT(points[i].file_bytes, points[i - 1].file_bytes);
    EXPECT_LT(points[i].predicted_kld, points[i - 1].predicted_kld);
  }
  EXPECT_TRUE(report->tensors.empty());
  EXPECT_TRUE(is_empty());
}

TEST_F(CompressCurve, APointIsWhatACompressionToItsSizeReports) {
  const uint64_t target = model_.get()->file_bytes / 3 + 1;
  const std::vector<Type> types = {Type::Q4_0, Type::Q5_0, Type::Q8_0};
  const auto first = curve_of(target, out(), types);
  ASSERT_TRUE(first.ok()) << first.status().what();
  const auto& points = first->curve.points;
  for (const size_t at : {points.size() / 2, points.size() - 1}) {
    const CurvePoint& point = points[at];
    const auto report = run(*model_.get(), point.target_bytes, 2, types);
    ASSERT_TRUE(report.ok()) << report.status().what();
    EXPECT_EQ(report->file_bytes, point.file_bytes);
    EXPECT_DOUBLE_EQ(report->predicted_kld, point.predicted_kld);
    std::map<Type, uint64_t> written;
    for (const TensorReport& line : report->tensors)
      if (const Tensor& t = *model_.get()->find(line.name); t.n_dims >= 2)
        written[line.to] += t.count();
    ASSERT_EQ(written.size(), point.formats.size());
    for (const FormatUse& use : point.formats) EXPECT_EQ(written[use.type], use.parameters);
  }
  const auto own = std::ranges::find(points, target, &CurvePoint::target_bytes);
  ASSERT_NE(own, points.end());
  EXPECT_EQ(own->file_bytes, first->file_bytes);
  EXPECT_DOUBLE_EQ(own->predicted_kld, first->predicted_kld);
}

TEST_F(CompressCurve, OneFormatForAllTakesThePlansBytesAndIsNeverBetter) {
  const auto report = curve_of(0, "");
  ASSERT_TRUE(report.ok()) << report.status().what();
  ASSERT_EQ(report->curve.mixes.size() + 1, format_mixes().size());  // all but "as is"
  for (const FormatMix& mix : format_mixes()) {
    if (!mix.type) continue;
    const auto point = std::ranges::find(report->curve.mixes, mix.name, &MixPoint::mix);
    ASSERT_NE(point, report->curve.mixes.end()) << mix.name;
    EXPECT_EQ(point->file_bytes, size_of_mix(*model_.get(), mix)->file_bytes);
    EXPECT_LE(point->allocated_kld, point->predicted_kld) << mix.name;
    EXPECT_GT(point->allocated_kld, 0);
  }
}

}  // namespace
}  // namespace enxuto
