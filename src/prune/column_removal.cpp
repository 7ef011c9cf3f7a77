#include "prune/column_removal.h"

#include <algorithm>
#include <cmath>

#include "plan/pruning_plan.h"
#include "prune/small_solver.h"
#include "prune/triangle_inverse.h"

namespace enxuto {
namespace {

constexpr int64_t kTile = 128;
// What few tokens say of many columns is half chance; a fit leans on it much less than rounding
// does (damping_for): 1 % with 8 tokens a column.
double damping_of(const Covariance& covariance) {
  const auto columns = static_cast<double>(covariance.blocks().front().n);
  return std::clamp(0.08 * columns / std::max(covariance.tokens(), 1.0), 0.01, 1.0);
}

int64_t tiles_of(int64_t n) { return (n + kTile - 1) / kTile; }

}  // namespace

ColumnRemoval::ColumnRemoval(ThreadTeam& team, Covariance& covariance, std::span<float> weights,
                             int64_t rows, int64_t unit, std::span<float> scratch)
    : team_(team),
      covariance_(covariance),
      dense_(covariance.dense()),
      weights_(weights),
      rows_(rows),
      columns_(covariance.columns()),
      unit_(unit),
      scratch_(scratch),
      gone_(static_cast<size_t>(columns_ / unit), false),
      left_(columns_ / unit) {
  covariance_.factor(team_, damping_of(covariance_));
  for (const CovarianceBlock& block : covariance_.blocks()) {
    clear_below(block);
    energy_ += energy_of(block);
    invert(block);
  }
}

// tr(W (I + U) D (I + U)' W')
double ColumnRemoval::energy_of(const CovarianceBlock& block) const {
  const int64_t room = static_cast<int64_t>(scratch_.size()) / block.n / team_.size();
  const int64_t some = std::clamp<int64_t>(room, 1, kTile);
  std::vector<double> losses(static_cast<size_t>((rows_ + some - 1) / some), 0.0);
  team_.parallel_for(static_cast<int64_t>(losses.size()), 1, [&](int64_t piece, int64_t, int t) {
    const int64_t first = piece * some, n = std::min(some, rows_ - first);
    float* product = scratch_.data() + t * some * block.n;
    dense_.multiply(n, block.n, block.n, 1,
                    {weights_.data() + first * columns_ + block.begin, columns_},
                    {block.matrix, block.n}, 0, product, block.n);
    double sum = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < block.n; ++j) {
        const double value = product[i * block.n + j];
        sum += value * value * block.conditional[j];
      }
    losses[static_cast<size_t>(piece)] = sum;
  });
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum;
}

// The unit upper triangle T of H = T D T' becomes H^-1 = T'^-1 D^-1 T^-1.
void ColumnRemoval::invert(const CovarianceBlock& block) {
  const int64_t n = block.n;
  float* t = block.matrix;
  invert_triangle(team_, dense_, block, scratch_.data() + n * n);
  for (int64_t i = 0; i < n; ++i) {
    const auto root = static_cast<float>(1 / std::sqrt(double{block.conditional[i]}));
    for (int64_t j = i; j < n; ++j) t[i * n + j] *= root;
  }
  // S'S, S above: of column tiles i and j only the rows up to the smaller one count.
  float* product = scratch_.data();
  const int64_t tiles = tiles_of(n);
  team_.parallel_for(tiles * tiles, 1, [&](int64_t pair, int64_t, int) {
    const int64_t i = pair / tiles * kTile, j = pair % tiles * kTile;
    const int64_t i_end = std::min(i + kTile, n), j_end = std::min(j + kTile, n);
    dense_.multiply(i_end - i, j_end - j, std::min(i_end, j_end), 1, {t + i, n, true}, {t + j, n},
                    0, product + i * n + j, n);
  });
  std::copy_n(product, n * n, t);
}

// The least-squares fit of what is missing is C H^-1.
void ColumnRemoval::make_up_for(std::span<const float> moments, float part) {
  for (const CovarianceBlock& block : covariance_.blocks())
    team_.parallel_for(tiles_of(rows_) * tiles_of(block.n), 1, [&](int64_t pair, int64_t, int) {
      const int64_t row = pair / tiles_of(block.n) * kTile, col = pair % tiles_of(block.n) * kTile;
      dense_.multiply(std::min(kTile, rows_ - row), std::min(kTile, block.n - col), block.n, part,
                      {moments.data() + row * columns_ + block.begin, columns_},
                      {block.matrix + col, block.n}, 1,
                      weights_.data() + row * columns_ + block.begin + col, columns_);
    });
}

double ColumnRemoval::keep(int64_t count) {
  // Those that cost least hardly change places while some of them go.
  const int64_t at_once =
      unit_ == 1 ? static_cast<int64_t>(columns_at_once(static_cast<uint64_t>(columns_))) : 1;
  std::vector<Candidate> candidates;
  while (left_ > count) {
    candidates.clear();
    if (unit_ == 1)
      score_columns(candidates);
    else
      for (int64_t u = 0; u < static_cast<int64_t>(gone_.size()); ++u) score_unit(u, candidates);
    const int64_t n = std::min(at_once, left_ - count);
    std::ranges::partial_sort(candidates, candidates.begin() + n, {}, &Candidate::loss);
    std::vector<std::vector<int64_t>> chosen(covariance_.blocks().size());
    for (int64_t i = 0; i < n; ++i) {
      const int64_t u = candidates[static_cast<size_t>(i)].unit;
      const size_t b = static_cast<size_t>(&block_of(u * unit_) - covariance_.blocks().data());
      for (int64_t c = u * unit_; c < (u + 1) * unit_; ++c) chosen[b].push_back(c);
      gone_[static_cast<size_t>(u)] = true;
    }
    for (size_t b = 0; b < chosen.size(); ++b)
      if (!chosen[b].empty()) remove(covariance_.blocks()[b], std::move(chosen[b]));
    left_ -= n;
  }
  return lost_;
}

const CovarianceBlock& ColumnRemoval::block_of(int64_t column) const {
  const auto& blocks = covariance_.blocks();
  return *std::ranges::find_if(blocks,
                               [&](const CovarianceBlock& b) { return column < b.begin + b.n; });
}

void ColumnRemoval::score_columns(std::vector<Candidate>& candidates) {
  std::vector<double> squares(static_cast<size_t>(columns_), 0.0);
  team_.parallel_for(tiles_of(columns_), 1, [&](int64_t tile, int64_t, int) {
    const int64_t begin = tile * kTile, end = std::min(begin + kTile, columns_);
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t c = begin; c < end; ++c) {
        const double w = weights_[static_cast<size_t>(r * columns_ + c)];
        squares[static_cast<size_t>(c)] += w * w;
      }
  });
  for (const CovarianceBlock& block : covariance_.blocks())
    for (int64_t c = 0; c < block.n; ++c) {
      const auto at = static_cast<size_t>(block.begin + c);
      if (!gone_[at])
        candidates.push_back({squares[at] / std::max<double>(block.matrix[c * block.n + c], 1e-30),
                              block.begin + c});
    }
}

// tr(W_u (P_uu)^-1 W_u')
void ColumnRemoval::score_unit(int64_t u, std::vector<Candidate>& candidates) {
  if (gone_[static_cast<size_t>(u)]) return;
  const CovarianceBlock& block = block_of(u * unit_);
  const int64_t first = u * unit_ - block.begin;
  std::vector<double> corner(static_cast<size_t>(unit_ * unit_));
  for (int64_t i = 0; i < unit_; ++i)
    for (int64_t j = 0; j < unit_; ++j)
      corner[static_cast<size_t>(i * unit_ + j)] = block.matrix[(first + i) * block.n + first + j];
  invert_positive(corner, unit_);
  std::vector<double> losses(static_cast<size_t>(rows_));
  team_.parallel_for(rows_, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const float* w = weights_.data() + r * columns_ + u * unit_;
      double loss = 0;
      for (int64_t i = 0; i < unit_; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < unit_; ++j)
          sum += corner[static_cast<size_t>(i * unit_ + j)] * w[j];
        loss += sum * w[i];
      }
      losses[static_cast<size_t>(r)] = loss;
    }
  });
  double sum = 0;
  for (const double loss : losses) sum += loss;
  candidates.push_back({sum, u});
}

// W -= W_R P_RR^-1 P_R, P -= P_R' P_RR^-1 P_R
void ColumnRemoval::remove(const CovarianceBlock& block, std::vector<int64_t> columns) {
  const int64_t n = block.n, r = static_cast<int64_t>(columns.size());
  std::ranges::sort(columns);
  std::vector<double> corner(static_cast<size_t>(r * r));
  for (int64_t i = 0; i < r; ++i)
    for (int64_t j = 0; j < r; ++j)
      corner[static_cast<size_t>(i * r + j)] =
          block.matrix[(columns[i] - block.begin) * n + columns[j] - block.begin];
  invert_positive(corner, r);
  float *gathered = scratch_.data(), *solved = gathered + r * n, *removed = solved + r * n;
  for (int64_t i = 0; i < r; ++i)
    std::copy_n(block.matrix + (columns[i] - block.begin) * n, n, gathered + i * n);
  const std::vector<float> inverse(corner.begin(), corner.end());
  dense_.multiply(r, n, r, 1, {inverse.data(), r}, {gathered, n}, 0, solved, n);
  for (int64_t row = 0; row < rows_; ++row)
    for (int64_t i = 0; i < r; ++i)
      removed[row * r + i] = weights_[static_cast<size_t>(row * columns_ + columns[i])];
  for (int64_t row = 0; row < rows_; ++row)
    for (int64_t i = 0; i < r; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < r; ++j)
        sum += corner[static_cast<size_t>(i * r + j)] * removed[row * r + j];
      lost_ += sum * removed[row * r + i];
    }
  team_.parallel_for(tiles_of(rows_), 1, [&](int64_t tile, int64_t, int) {
    const int64_t first = tile * kTile, last = std::min(first + kTile, rows_);
    float* w = weights_.data() + first * columns_;
    dense_.multiply(last - first, n, r, -1, {removed + first * r, r}, {solved, n}, 1,
                    w + block.begin, columns_);
    for (int64_t row = 0; row < last - first; ++row)
      for (const int64_t c : columns) w[row * columns_ + c] = 0;
  });
  team_.parallel_for(tiles_of(n), 1, [&](int64_t tile, int64_t, int) {
    const int64_t first = tile * kTile, last = std::min(first + kTile, n);
    dense_.multiply(last - first, n, r, -1, {gathered + first, n, true}, {solved, n}, 1,
                    block.matrix + first * n, n);
  });
  for (const int64_t c : columns) {
    std::fill_n(block.matrix + (c - block.begin) * n, n, 0.0f);
    for (int64_t i = 0; i < n; ++i) block.matrix[i * n + c - block.begin] = 0;
  }
}

std::vector<uint32_t> ColumnRemoval::kept() const {
  std::vector<uint32_t> units;
  for (size_t u = 0; u < gone_.size(); ++u)
    if (!gone_[u]) units.push_back(static_cast<uint32_t>(u));
  return units;
}

std::vector<uint32_t> ColumnRemoval::kept_columns() const {
  std::vector<uint32_t> columns;
  for (const uint32_t u : kept())
    for (int64_t c = 0; c < unit_; ++c) columns.push_back(static_cast<uint32_t>(u * unit_ + c));
  return columns;
}

}  // namespace enxuto
