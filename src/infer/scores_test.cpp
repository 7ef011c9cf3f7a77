#include "infer/scores.h"

#include <gtest/gtest.h>

#include <cmath>

namespace enxuto {
namespace {

std::vector<float> wave(size_t n, float phase, float height) {
  std::vector<float> row(n);
  for (size_t i = 0; i < n; ++i) row[i] = height * std::sin(phase + 0.7f * static_cast<float>(i));
  return row;
}

std::vector<double> log_softmax(const std::vector<float>& row) {
  double sum = 0;
  for (const float x : row) sum += std::exp(double{x});
  std::vector<double> result;
  for (const float x : row) result.push_back(x - std::log(sum));
  return result;
}

TEST(Scores, OfARowByTheDefinition) {
  for (const size_t n : {5, 64, 1000}) {
    const auto row = wave(n, 0.1f, 6), reference = wave(n, 0.3f, 9);
    const RowScore score = score_row(row, reference, 3);
    const auto q = log_softmax(row), p = log_softmax(reference);
    double kld = 0;
    for (size_t i = 0; i < n; ++i)
      if (p[i] > -16) kld += std::exp(p[i]) * (p[i] - q[i]);  // llama-perplexity's cut
    EXPECT_NEAR(score.nll, -q[3], 1e-5);
    EXPECT_NEAR(score.reference_nll, -p[3], 1e-5);
    EXPECT_NEAR(score.kld, kld, 1e-5 * std::max(1.0, kld));
    EXPECT_EQ(score.same_top,
              std::max_element(row.begin(), row.end()) - row.begin() ==
                  std::max_element(reference.begin(), reference.end()) - reference.begin());
  }
}

TEST(Scores, OfEqualRowsAreNoDivergence) {
  const auto row = wave(300, 0, 30);
  const RowScore score = score_row(row, row, 0);
  EXPECT_NEAR(score.kld, 0, 1e-7);
  EXPECT_TRUE(score.same_top);
}

TEST(Scores, SummaryHasMeansErrorsAndPercentiles) {
  std::vector<RowScore> rows;
  for (int i = 0; i <= 100; ++i) rows.push_back({0.01 * i, 1.0, 0.02 * i, i % 4 == 0});
  const Evaluation e = summarize(rows, true);
  EXPECT_EQ(e.scored_tokens, 101u);
  EXPECT_NEAR(e.perplexity, std::exp(0.5), 1e-9);
  // variance of 0, 0.01 … 1: (101^2 - 1) / 12 / 100^2, over n - 1
  EXPECT_NEAR(e.perplexity_error, std::exp(0.5) * std::sqrt(0.085 / 100), 1e-9);
  EXPECT_NEAR(e.reference_perplexity, std::exp(1.0), 1e-9);
  EXPECT_NEAR(e.kld_mean, 1.0, 1e-9);
  EXPECT_NEAR(e.kld_median, 1.0, 1e-9);
  EXPECT_NEAR(e.kld_p99, 1.98, 1e-9);
  EXPECT_NEAR(e.kld_max, 2.0, 1e-9);
  EXPECT_NEAR(e.same_top, 26.0 / 101, 1e-9);
  EXPECT_EQ(summarize(rows, false).kld_mean, 0);
}

}  // namespace
}  // namespace enxuto
