#include "platform/usage_sampler.h"

#include <gtest/gtest.h>

namespace enxuto {
namespace {

TEST(UsageSampler, HalvingKeepsPeaksAndTheSpanOfTime) {
  UsageSeries series{0.1, {{5, 1}, {9, 2}, {3, 4}, {2, 8}, {7, 0}}};
  halve(series);
  ASSERT_EQ(series.samples.size(), 3u);
  EXPECT_EQ(series.samples[0].rss_bytes, 9u);
  EXPECT_EQ(series.samples[1].mapped_bytes, 8u);
  EXPECT_EQ(series.samples[2].rss_bytes, 7u);
  EXPECT_DOUBLE_EQ(series.interval_seconds, 0.2);
}

TEST(UsageSampler, NotesWhatTheProcessHolds) {
  const UsageSampler sampler;
  const UsageSeries series = sampler.series();
  ASSERT_FALSE(series.samples.empty());
  EXPECT_GT(series.samples.back().rss_bytes, 1u << 20);
  EXPECT_LE(series.samples.back().mapped_bytes, series.samples.back().rss_bytes);
}

}  // namespace
}  // namespace enxuto
