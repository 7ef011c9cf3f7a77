#include "prune/weight_masks.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "prune/triangle_inverse.h"

namespace enxuto {
namespace {

constexpr double kDamping = 0.01;
constexpr int64_t kRows = 64;  // that one thread works on at once

// The `count` least of some scores; of equal ones the first.
class Least {
 public:
  // sorted: room for as many.
  Least(std::span<const float> scores, int64_t count, std::span<float> sorted) : scores_(scores) {
    if (count <= 0) return;
    std::ranges::copy(scores, sorted.begin());
    std::ranges::nth_element(sorted, sorted.begin() + count - 1);
    most_ = sorted[static_cast<size_t>(count - 1)];
    equal_ = count - std::ranges::count_if(scores, [&](float s) { return s < most_; });
  }

  template <class Body>
  void each(const Body& body) const {
    int64_t equal = equal_;
    for (size_t i = 0; i < scores_.size(); ++i)
      if (scores_[i] < most_ || (scores_[i] == most_ && equal-- > 0)) body(static_cast<int64_t>(i));
  }

 private:
  std::span<const float> scores_;
  float most_ = -1;  // scores are not negative
  int64_t equal_ = 0;
};

// Of each row, or each group in it, those with the least score(row, column).
template <class Score>
void mask_rows(ThreadTeam& team, const MaskedMatrix& m, const MaskPattern& pattern,
               const Score& score) {
  const int64_t group = pattern.group ? int64_t{pattern.group} : m.columns;
  team.parallel_for(m.rows, 8, [&](int64_t first, int64_t last, int) {
    std::vector<float> scores(static_cast<size_t>(group)), sorted(scores.size());
    for (int64_t r = first; r < last; ++r)
      for (int64_t begin = 0; begin < m.columns; begin += group) {
        for (int64_t c = 0; c < group; ++c) scores[static_cast<size_t>(c)] = score(r, begin + c);
        Least(scores, masked_of(pattern, group), sorted).each([&](int64_t c) {
          m.weights[static_cast<size_t>(r * m.columns + begin + c)] = 0;
        });
      }
  });
}

std::vector<float> norms_of(std::span<const float> energies) {
  std::vector<float> norms;
  for (const float energy : energies) norms.push_back(std::sqrt(energy));
  return norms;
}

// The sum over rows of body(row), the same whatever the number of threads.
template <class Body>
double over_rows(ThreadTeam& team, int64_t rows, const Body& body) {
  std::vector<double> of_rows(static_cast<size_t>(rows));
  team.parallel_for(rows, 8, [&](int64_t first, int64_t last, int) {
    for (int64_t r = first; r < last; ++r) of_rows[static_cast<size_t>(r)] = body(r);
  });
  double sum = 0;
  for (const double one : of_rows) sum += one;
  return sum;
}

// Steele et al., "SplitMix64".
uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Some columns of a matrix, in one block of its covariance (X = T^-1), while their weights go.
class SparseColumns {
 public:
  SparseColumns(const Dense& dense, const MaskedMatrix& m, const CovarianceBlock& block,
                const MaskPattern& pattern, std::span<float> scratch)
      : dense_(dense), m_(m), block_(block), pattern_(pattern), scores_(scratch.data()) {
    errors_ = scores_ + m.rows * kMaskColumns;
  }

  // [begin, end) of the block; those before it are settled.
  void settle(ThreadTeam& team, int64_t begin, int64_t end) {
    begin_ = begin, end_ = end;
    if (!pattern_.group) choose(team);
    team.parallel_for((m_.rows + kRows - 1) / kRows, 1, [&](int64_t tile, int64_t, int) {
      const int64_t first = tile * kRows, last = std::min(first + kRows, m_.rows);
      for (int64_t r = first; r < last; ++r) settle_row(r);
      hand_on(first, last);
    });
  }

 private:
  float* row(int64_t r) const { return m_.weights.data() + r * m_.columns + block_.begin; }
  float score(int64_t r, int64_t c) const { return row(r)[c] * row(r)[c] * block_.conditional[c]; }

  // Marks those that go, among all rows, by an error that is not 0.
  void choose(ThreadTeam& team) {
    const int64_t n = end_ - begin_;
    team.parallel_for(m_.rows, 16, [&](int64_t first, int64_t last, int) {
      for (int64_t r = first; r < last; ++r)
        for (int64_t c = 0; c < n; ++c) scores_[r * n + c] = score(r, begin_ + c);
    });
    const std::span<const float> scores(scores_, static_cast<size_t>(m_.rows * n));
    const std::span<float> sorted(errors_, scores.size());  // they are not known yet
    const Least least(scores, masked_of(pattern_, m_.rows * n), sorted);
    std::ranges::fill(sorted, 0.0f);
    least.each([&](int64_t i) { errors_[i] = 1; });
  }

  // Column after column: a weight that goes leaves its error to those after it.
  void settle_row(int64_t r) {
    const int64_t n = end_ - begin_;
    float *w = row(r), *errors = errors_ + r * n;
    for (int64_t c = begin_; c < end_; ++c) {
      if (pattern_.group && (c - begin_) % pattern_.group == 0) choose_in_group(r, c);
      float& error = errors[c - begin_];
      if (error == 0) continue;
      error = w[c];
      const float* x = block_.matrix + c * block_.n;
      for (int64_t k = c + 1; k < end_; ++k) w[k] -= error * x[k];
      w[c] = 0;
    }
  }

  void choose_in_group(int64_t r, int64_t c) {
    float* errors = errors_ + r * (end_ - begin_) + c - begin_;
    const auto n = static_cast<int64_t>(pattern_.group);
    for (int64_t i = 0; i < n; ++i) {
      int64_t less = 0;  // of the others, or as small and before it
      for (int64_t k = 0; k < n; ++k) {
        const float own = score(r, c + i), other = score(r, c + k);
        less += other < own || (other == own && k < i);
      }
      errors[i] = less < masked_of(pattern_, n) ? 1.0f : 0.0f;
    }
  }

  // To the columns after `end_`.
  void hand_on(int64_t first, int64_t last) {
    const int64_t n = end_ - begin_;
    if (end_ == block_.n) return;
    dense_.multiply(last - first, block_.n - end_, n, -1, {errors_ + first * n, n},
                    {block_.matrix + begin_ * block_.n + end_, block_.n}, 1, row(first) + end_,
                    m_.columns);
  }

  const Dense& dense_;
  const MaskedMatrix& m_;
  const CovarianceBlock& block_;
  const MaskPattern& pattern_;
  float *scores_, *errors_;  // (rows, columns at once)
  int64_t begin_ = 0, end_ = 0;
};

}  // namespace

int64_t masked_of(const MaskPattern& pattern, int64_t n) {
  if (pattern.group) return n / pattern.group * (pattern.group - pattern.kept);
  return static_cast<int64_t>(pattern.share * static_cast<double>(n) + 1e-6);
}

void mask_by_magnitude(ThreadTeam& team, const MaskedMatrix& m, const MaskPattern& pattern) {
  mask_rows(team, m, pattern,
            [&](int64_t r, int64_t c) { return std::abs(m.weights[r * m.columns + c]); });
}

void mask_by_wanda(ThreadTeam& team, const MaskedMatrix& m, std::span<const float> energies,
                   const MaskPattern& pattern) {
  const std::vector<float> norms = norms_of(energies);
  mask_rows(team, m, pattern, [&](int64_t r, int64_t c) {
    return std::abs(m.weights[r * m.columns + c]) * norms[c];
  });
}

double sum_of_scores(ThreadTeam& team, const MaskedMatrix& m, std::span<const float> energies) {
  const std::vector<float> norms = norms_of(energies);
  return over_rows(team, m.rows, [&](int64_t r) {
    double sum = 0;
    for (int64_t c = 0; c < m.columns; ++c)
      sum += std::abs(m.weights[r * m.columns + c]) * norms[c];
    return sum;
  });
}

uint64_t scores_above(ThreadTeam& team, const MaskedMatrix& m, std::span<const float> energies,
                      double bound) {
  const std::vector<float> norms = norms_of(energies);
  return static_cast<uint64_t>(over_rows(team, m.rows, [&](int64_t r) {
    int64_t above = 0;
    for (int64_t c = 0; c < m.columns; ++c)
      above += std::abs(m.weights[r * m.columns + c]) * norms[c] > bound;
    return static_cast<double>(above);
  }));
}

std::vector<double> shares_by_outliers(std::span<const LayerOutliers> layers, double share) {
  double least = INFINITY, most = 0, mean = 0, weights = 0;
  for (const LayerOutliers& layer : layers) {
    least = std::min(least, layer.share), most = std::max(most, layer.share);
    mean += layer.share * static_cast<double>(layer.weights);
    weights += static_cast<double>(layer.weights);
  }
  mean /= weights;
  const double spread = 2 * std::min({kOwlSpread, share / 2, (1 - share) / 2});
  std::vector<double> shares;
  for (const LayerOutliers& layer : layers)
    shares.push_back(most > least ? share - spread * (layer.share - mean) / (most - least) : share);
  return shares;
}

void mask_by_lot(ThreadTeam& team, const MaskedMatrix& m, std::string_view name,
                 const MaskPattern& pattern) {
  uint64_t seed = 0;
  for (const char letter : name) seed = mixed(seed ^ static_cast<uint8_t>(letter));
  mask_rows(team, m, pattern, [&](int64_t r, int64_t c) {
    return static_cast<float>(mixed(seed + static_cast<uint64_t>(r * m.columns + c)) >> 40);
  });
}

void prepare_sparsegpt(ThreadTeam& team, Covariance& covariance, float* panel) {
  covariance.factor(team, kDamping);
  for (const CovarianceBlock& block : covariance.blocks())
    invert_triangle(team, covariance.dense(), block, panel);
}

// H^-1 = R'R with R = D^-1/2 X: R_jk / R_jj is X_jk, and 1 / R_jj^2 is D_j.
void mask_by_sparsegpt(ThreadTeam& team, const MaskedMatrix& m, const Covariance& prepared,
                       const MaskPattern& pattern, std::span<float> scratch) {
  for (const CovarianceBlock& block : prepared.blocks()) {
    SparseColumns columns(prepared.dense(), m, block, pattern, scratch);
    for (int64_t begin = 0; begin < block.n; begin += kMaskColumns)
      columns.settle(team, begin, std::min(begin + kMaskColumns, block.n));
  }
}

}  // namespace enxuto
