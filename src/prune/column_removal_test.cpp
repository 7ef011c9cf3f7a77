#include "prune/column_removal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "plan/pruning_plan.h"
#include "prune/small_solver.h"

namespace enxuto {
namespace {

struct Problem {
  int64_t rows, columns;
  std::vector<float> weights;
  std::vector<double> moments;  // damped
  std::vector<float> inputs;
  int64_t n_tokens;
};

// Inputs whose columns have much in common, so that some of them can stand in for others.
Problem make_problem(int64_t rows, int64_t columns, int64_t n_tokens, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Problem p{rows, columns, {}, {}, {}, n_tokens};
  for (int64_t i = 0; i < rows * columns; ++i) p.weights.push_back(normal(random));
  const int64_t causes = columns / 2;
  std::vector<float> mix(static_cast<size_t>(causes * columns));
  for (float& m : mix) m = normal(random);
  for (int64_t t = 0; t < n_tokens; ++t) {
    std::vector<float> cause(static_cast<size_t>(causes));
    for (float& c : cause) c = normal(random);
    for (int64_t j = 0; j < columns; ++j) {
      float x = 0.3f * normal(random);
      for (int64_t k = 0; k < causes; ++k) x += cause[k] * mix[k * columns + j];
      p.inputs.push_back(x);
    }
  }
  p.moments.assign(static_cast<size_t>(columns * columns), 0.0);
  for (int64_t t = 0; t < n_tokens; ++t)
    for (int64_t i = 0; i < columns; ++i)
      for (int64_t j = 0; j < columns; ++j)
        p.moments[i * columns + j] += double{p.inputs[t * columns + i]} * p.inputs[t * columns + j];
  return p;
}

void damp(std::vector<double>& h, int64_t n, double damping) {
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += h[i * n + i] / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) h[i * n + i] += mean * damping;
}

double loss_of(const Problem& p, std::span<const float> changed) {
  double loss = 0;
  for (int64_t r = 0; r < p.rows; ++r)
    for (int64_t i = 0; i < p.columns; ++i)
      for (int64_t j = 0; j < p.columns; ++j)
        loss += (double{p.weights[r * p.columns + i]} - changed[r * p.columns + i]) *
                p.moments[i * p.columns + j] *
                (double{p.weights[r * p.columns + j]} - changed[r * p.columns + j]);
  return loss;
}

// The least loss with these columns, by solving the normal equations: W_K + W_R H_RK H_KK^-1.
std::vector<float> least_squares(const Problem& p, std::span<const uint32_t> kept) {
  const int64_t k = static_cast<int64_t>(kept.size()), n = p.columns;
  std::vector<double> inverse(static_cast<size_t>(k * k));
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j) inverse[i * k + j] = p.moments[kept[i] * n + kept[j]];
  invert_positive(inverse, k);
  std::vector<float> fitted(p.weights.size(), 0.0f);
  for (int64_t r = 0; r < p.rows; ++r) {
    std::vector<double> right(static_cast<size_t>(k), 0.0);
    for (int64_t i = 0; i < k; ++i)
      for (int64_t j = 0; j < n; ++j) right[i] += p.weights[r * n + j] * p.moments[j * n + kept[i]];
    for (int64_t i = 0; i < k; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < k; ++j) sum += inverse[i * k + j] * right[j];
      fitted[r * n + kept[i]] = static_cast<float>(sum);
    }
  }
  return fitted;
}

class Fixture {
 public:
  Fixture(Problem& p, int64_t unit, uint64_t most_in_block = kCovarianceColumns)
      : team_(2),
        memory_(*covariance_bytes(static_cast<uint64_t>(p.columns), most_in_block) / sizeof(float)),
        covariance_(*Dense::load(), p.columns, memory_, most_in_block),
        scratch_(*removal_scratch(p.rows, p.columns, unit)),
        weights(p.weights) {
    std::vector<float> ones(static_cast<size_t>(p.n_tokens), 1.0f);
    covariance_.clear();
    covariance_.add(team_, p.inputs.data(), p.columns, p.n_tokens, ones.data());
    // As many tokens a column as these tests have: the least damping there is.
    damp(p.moments, p.columns, 0.01);
    removal.emplace(team_, covariance_, weights, p.rows, unit, scratch_);
  }

 private:
  ThreadTeam team_;
  std::vector<float> memory_;
  Covariance covariance_;
  std::vector<float> scratch_;

 public:
  std::vector<float> weights;
  std::optional<ColumnRemoval> removal;
};

TEST(ColumnRemoval, LeavesTheLeastSquaresFitAndItsLoss) {
  for (const int64_t unit : {1, 4}) {
    Problem p = make_problem(24, 160, 2000, 7);
    Fixture f(p, unit);
    const std::vector<float> nothing(p.weights.size(), 0.0f);
    EXPECT_NEAR(f.removal->energy(), loss_of(p, nothing), 1e-3 * f.removal->energy());
    for (const int64_t left : {30, 20}) {
      const double loss = f.removal->keep(left);
      const auto columns = f.removal->kept_columns();
      ASSERT_EQ(static_cast<int64_t>(columns.size()), left * unit);
      const auto fitted = least_squares(p, columns);
      const double scale = std::sqrt(loss_of(p, nothing) / static_cast<double>(p.weights.size()));
      double furthest = 0;
      for (size_t i = 0; i < fitted.size(); ++i)
        furthest = std::max(furthest, std::abs(double{fitted[i]} - f.weights[i]));
      EXPECT_LT(furthest, 2e-2) << "unit " << unit << ", scale " << scale;
      EXPECT_NEAR(loss, loss_of(p, fitted), 0.01 * loss) << "unit " << unit;
    }
  }
}

TEST(ColumnRemoval, ChoosesBetterThanChance) {
  Problem p = make_problem(24, 160, 2000, 11);
  Fixture f(p, 1);
  const double loss = f.removal->keep(100);
  std::mt19937 random(5);
  std::vector<uint32_t> all(160);
  for (uint32_t i = 0; i < 160; ++i) all[i] = i;
  for (int trial = 0; trial < 5; ++trial) {
    std::shuffle(all.begin(), all.end(), random);
    std::vector<uint32_t> kept(all.begin(), all.begin() + 100);
    std::sort(kept.begin(), kept.end());
    EXPECT_LT(loss, 0.9 * loss_of(p, least_squares(p, kept)));
  }
}

// Columns that nothing is made of go first and for nothing, whichever block they are in.
TEST(ColumnRemoval, UnitsCompeteAcrossBlocks) {
  Problem p = make_problem(24, 512, 1500, 3);
  const std::vector<uint32_t> idle = {5, 77, 120, 255, 256, 300, 400, 511};
  for (int64_t r = 0; r < p.rows; ++r)
    for (const uint32_t c : idle) p.weights[r * 512 + c] = 0;
  Fixture f(p, 1, 256);
  EXPECT_NEAR(f.removal->keep(504), 0, 1e-6 * f.removal->energy());
  for (const uint32_t kept : f.removal->kept())
    EXPECT_EQ(std::find(idle.begin(), idle.end(), kept), idle.end());
}

}  // namespace
}  // namespace enxuto
