// Which weights go, against brute force; whole models are compared with tools/golden_pruning.py in
// docs/pruning.md.
#include "prune/weight_masks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "prune/small_solver.h"
#include "prune/triangle_inverse.h"

namespace enxuto {
namespace {

struct Problem {
  int64_t rows, columns;
  std::vector<float> weights;
  std::vector<float> inputs;
  int64_t n_tokens;
};

// Inputs of very different sizes that have much in common.
Problem make_problem(int64_t rows, int64_t columns, int64_t n_tokens, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Problem p{rows, columns, {}, {}, n_tokens};
  for (int64_t i = 0; i < rows * columns; ++i) p.weights.push_back(normal(random));
  const int64_t causes = columns / 2;
  std::vector<float> mix(static_cast<size_t>(causes * columns));
  for (int64_t i = 0; i < causes * columns; ++i)
    mix[i] = normal(random) * std::exp2(static_cast<float>(i % columns % 5) - 2);
  for (int64_t t = 0; t < n_tokens; ++t) {
    std::vector<float> cause(static_cast<size_t>(causes));
    for (float& c : cause) c = normal(random);
    for (int64_t j = 0; j < columns; ++j) {
      float x = 0.1f * normal(random);
      for (int64_t k = 0; k < causes; ++k) x += cause[k] * mix[k * columns + j];
      p.inputs.push_back(x);
    }
  }
  return p;
}

std::vector<double> moments_of(const Problem& p) {
  const int64_t n = p.columns;
  std::vector<double> h(static_cast<size_t>(n * n), 0.0);
  for (int64_t t = 0; t < p.n_tokens; ++t)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j)
        h[i * n + j] += double{p.inputs[t * n + i]} * p.inputs[t * n + j];
  return h;
}

double loss_of(const Problem& p, std::span<const float> changed) {
  double loss = 0;
  for (int64_t t = 0; t < p.n_tokens; ++t)
    for (int64_t r = 0; r < p.rows; ++r) {
      double error = 0;
      for (int64_t c = 0; c < p.columns; ++c)
        error += (double{changed[r * p.columns + c]} - p.weights[r * p.columns + c]) *
                 p.inputs[t * p.columns + c];
      loss += error * error;
    }
  return loss;
}

enum class By { kSparseGpt, kWanda, kMagnitude, kLot };

std::vector<float> masked(const Problem& p, By by, const MaskPattern& pattern, int n_threads = 2,
                          uint64_t most = kCovarianceColumns) {
  ThreadTeam team(n_threads);
  std::vector<float> weights = p.weights, energies(static_cast<size_t>(p.columns));
  std::vector<float> memory(*covariance_bytes(static_cast<uint64_t>(p.columns), most) /
                            sizeof(float));
  Covariance covariance(*Dense::load(), p.columns, memory, most);
  covariance.clear();
  const std::vector<float> ones(static_cast<size_t>(p.n_tokens), 1.0f);
  covariance.add(team, p.inputs.data(), p.columns, p.n_tokens, ones.data());
  covariance.diagonal(energies);
  const MaskedMatrix m = {weights, p.rows, p.columns};
  switch (by) {
    case By::kSparseGpt: {
      std::vector<float> panel(static_cast<size_t>(triangle_scratch(p.columns)));
      std::vector<float> scratch(static_cast<size_t>(2 * p.rows * kMaskColumns));
      prepare_sparsegpt(team, covariance, panel.data());
      mask_by_sparsegpt(team, m, covariance, pattern, scratch);
      break;
    }
    case By::kWanda:
      mask_by_wanda(team, m, energies, pattern);
      break;
    case By::kMagnitude:
      mask_by_magnitude(team, m, pattern);
      break;
    case By::kLot:
      mask_by_lot(team, m, "blk.0.attn_q.weight", pattern);
      break;
  }
  return weights;
}

int64_t zeros_in(std::span<const float> values) { return std::ranges::count(values, 0.0f); }

TEST(WeightMasks, EachRowLosesItsShare) {
  const Problem p = make_problem(10, 160, 50, 1);
  for (const By by : {By::kWanda, By::kMagnitude, By::kLot})
    for (const double share : {0.1, 0.5, 0.7}) {
      const auto weights = masked(p, by, {share, 0, 0});
      for (int64_t r = 0; r < p.rows; ++r)
        EXPECT_EQ(zeros_in(std::span(weights).subspan(r * 160, 160)), std::lround(share * 160));
    }
}

// Of a matrix of equal weights too, where every score has its likes.
TEST(WeightMasks, EqualWeightsDoNotAllGo) {
  Problem p = make_problem(6, 128, 50, 1);
  std::ranges::fill(p.weights, 1.0f);
  EXPECT_EQ(zeros_in(masked(p, By::kMagnitude, {0.25, 0, 0})), 6 * 32);
}

TEST(WeightMasks, WhatStaysIsLargerThanWhatGoes) {
  const Problem p = make_problem(10, 160, 50, 2);
  std::vector<double> norms(160, 0.0);
  for (size_t i = 0; i < p.inputs.size(); ++i) norms[i % 160] += double{p.inputs[i]} * p.inputs[i];
  for (const By by : {By::kWanda, By::kMagnitude}) {
    const auto weights = masked(p, by, {0.5, 0, 0});
    for (int64_t r = 0; r < p.rows; ++r) {
      double least_kept = 1e30, most_gone = 0;
      for (int64_t c = 0; c < 160; ++c) {
        const double w = std::abs(p.weights[r * 160 + c]);
        const double score = by == By::kWanda ? w * std::sqrt(norms[c]) : w;
        double& bound = weights[r * 160 + c] == 0 ? most_gone : least_kept;
        bound = weights[r * 160 + c] == 0 ? std::max(bound, score) : std::min(bound, score);
      }
      EXPECT_LE(most_gone, least_kept * (1 + 1e-5));
    }
  }
}

TEST(WeightMasks, EachGroupKeepsWhatThePatternSays) {
  const Problem p = make_problem(12, 320, 400, 3);
  for (const By by : {By::kSparseGpt, By::kWanda, By::kMagnitude, By::kLot})
    for (const MaskPattern& pattern : {MaskPattern{0.5, 2, 4}, {0.75, 2, 8}, {0.5, 1, 2}}) {
      const auto weights = masked(p, by, pattern);
      for (size_t i = 0; i < weights.size(); i += pattern.group)
        ASSERT_EQ(zeros_in(std::span(weights).subspan(i, pattern.group)),
                  pattern.group - pattern.kept);
    }
}

TEST(WeightMasks, SparseGptLosesLessThanWandaAndThatLessThanMagnitude) {
  const Problem p = make_problem(24, 320, 1500, 4);
  for (const MaskPattern& pattern : {MaskPattern{0.5, 0, 0}, {0.5, 2, 4}}) {
    const double sparse = loss_of(p, masked(p, By::kSparseGpt, pattern)),
                 wanda = loss_of(p, masked(p, By::kWanda, pattern)),
                 magnitude = loss_of(p, masked(p, By::kMagnitude, pattern)),
                 lot = loss_of(p, masked(p, By::kLot, pattern));
    EXPECT_LT(sparse, 0.5 * wanda);
    EXPECT_LT(wanda, magnitude);
    EXPECT_LT(magnitude, lot);
  }
}

// The Optimal Brain Surgeon, in doubles: column after column of [begin, end), those after it make
// up for what goes by the inverse of their own second moments, which is computed anew for each.
std::vector<double> surgeon(const Problem& p, int64_t begin, int64_t end, double share) {
  const int64_t n = end - begin, all = p.columns;
  const auto h = moments_of(p);
  std::vector<std::vector<double>> inverses;
  double mean = 0;
  for (int64_t i = begin; i < end; ++i) mean += h[i * all + i] / static_cast<double>(n);
  for (int64_t c = 0; c < n; ++c) {
    const int64_t left = n - c;
    std::vector<double> inverse(static_cast<size_t>(left * left));
    for (int64_t i = 0; i < left; ++i)
      for (int64_t j = 0; j < left; ++j)
        inverse[i * left + j] =
            h[(begin + c + i) * all + begin + c + j] + (i == j ? 0.01 * mean : 0);
    invert_positive(inverse, left);
    inverses.push_back(std::move(inverse));
  }
  std::vector<double> w;
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t c = 0; c < n; ++c) w.push_back(p.weights[r * all + begin + c]);
  for (int64_t first = 0; first < n; first += kMaskColumns) {
    const int64_t last = std::min(first + kMaskColumns, n);
    std::vector<std::pair<double, int64_t>> scores;
    for (int64_t r = 0; r < p.rows; ++r)
      for (int64_t c = first; c < last; ++c)
        scores.emplace_back(w[r * n + c] * w[r * n + c] / inverses[c][0], c * p.rows + r);
    std::ranges::sort(scores);
    scores.resize(static_cast<size_t>(share * static_cast<double>(scores.size())));
    std::ranges::sort(scores, {}, [](const auto& one) { return one.second; });
    for (const auto& [score, at] : scores) {
      const int64_t c = at / p.rows, r = at % p.rows;
      const double error = w[r * n + c] / inverses[c][0];
      for (int64_t k = c; k < n; ++k) w[r * n + k] -= error * inverses[c][k - c];
      w[r * n + c] = 0;
    }
  }
  return w;
}

TEST(WeightMasks, SparseGptIsTheOptimalBrainSurgeon) {
  const Problem p = make_problem(16, 160, 1000, 5);
  const auto weights = masked(p, By::kSparseGpt, {0.5, 0, 0});
  const auto expected = surgeon(p, 0, 160, 0.5);
  EXPECT_EQ(zeros_in(weights), 16 * 80);
  for (size_t i = 0; i < weights.size(); ++i) ASSERT_NEAR(weights[i], expected[i], 2e-2) << i;
}

// A wide input lies in diagonal blocks.
TEST(WeightMasks, EachDiagonalBlockByItself) {
  const Problem p = make_problem(8, 512, 600, 6);
  const auto weights = masked(p, By::kSparseGpt, {0.5, 0, 0}, 2, 256);
  for (const int64_t begin : {0, 256}) {
    const auto expected = surgeon(p, begin, begin + 256, 0.5);
    for (int64_t r = 0; r < p.rows; ++r)
      for (int64_t c = 0; c < 256; ++c)
        ASSERT_NEAR(weights[r * 512 + begin + c], expected[r * 256 + c], 2e-2);
  }
}

TEST(WeightMasks, ScoresAreCountedAsTheyAre) {
  const Problem p = make_problem(33, 96, 60, 8);
  std::vector<float> weights = p.weights, energies(96, 0.0f);
  for (size_t i = 0; i < p.inputs.size(); ++i) energies[i % 96] += p.inputs[i] * p.inputs[i];
  std::vector<double> scores;
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    scores.push_back(std::abs(double{weights[i]}) * std::sqrt(double{energies[i % 96]}));
    sum += scores.back();
  }
  std::ranges::sort(scores);
  ThreadTeam team(2);
  const MaskedMatrix m = {weights, p.rows, p.columns};
  EXPECT_NEAR(sum_of_scores(team, m, energies), sum, 1e-5 * sum);
  for (const size_t above : {0, 1, 100, 3000}) {
    const size_t at = scores.size() - above;
    const double bound = above ? (scores[at - 1] + scores[at]) / 2 : 1.01 * scores.back();
    EXPECT_EQ(scores_above(team, m, energies, bound), above);
  }
}

// As in the paper: what stays is raised by each layer's outliers, stretched to twice the spread,
// and moved to the mean.
TEST(WeightMasks, LayersWithMoreOutliersLoseLess) {
  const LayerOutliers layers[] = {{0.02, 100}, {0.01, 100}, {0.06, 100}, {0.03, 100}};
  const auto shares = shares_by_outliers(layers, 0.7);
  double mean = 0;
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(shares[i], 0.7 - ((layers[i].share - 0.01) * 0.16 / 0.05 - 0.064), 1e-9);
    mean += shares[i] / 4;
  }
  EXPECT_NEAR(mean, 0.7, 1e-9);
  const LayerOutliers uneven[] = {{0.0, 1}, {1.0, 3}};
  for (const double share : {0.001, 0.5, 0.999}) {
    const auto few = shares_by_outliers(uneven, share);
    EXPECT_NEAR((few[0] + 3 * few[1]) / 4, share, 1e-9);
    for (const double one : few) EXPECT_TRUE(one >= 0 && one <= 1) << one;
  }
  const LayerOutliers same[] = {{0.01, 5}, {0.01, 7}};
  for (const double one : shares_by_outliers(same, 0.3)) EXPECT_EQ(one, 0.3);
}

TEST(WeightMasks, TheSameWhateverTheThreads) {
  const Problem p = make_problem(130, 160, 300, 7);
  for (const By by : {By::kSparseGpt, By::kWanda, By::kLot})
    EXPECT_EQ(masked(p, by, {0.5, 0, 0}, 1), masked(p, by, {0.5, 0, 0}, 3));
}

}  // namespace
}  // namespace enxuto
