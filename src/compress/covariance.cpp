#include "compress/covariance.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace enxuto {
namespace {

constexpr int64_t kTile = 128, kPanel = 64;
// The pair (i, j), j <= i, of the k-th tile of a lower triangle.
struct TilePair {
  int64_t i, j;
};
TilePair tile_pair(int64_t k) {
  auto i = static_cast<int64_t>((std::sqrt(8.0 * static_cast<double>(k) + 1) - 1) / 2);
  while (i * (i + 1) / 2 > k) --i;
  while ((i + 1) * (i + 2) / 2 <= k) ++i;
  return {i, k - i * (i + 1) / 2};
}

// The factorization of one block, from its last columns to its first, a panel at a time.
class Factorization {
 public:
  Factorization(const Dense& dense, const CovarianceBlock& block, double damping)
      : dense_(dense),
        n_(block.n),
        a_(block.matrix),
        d_(block.conditional),
        damping_(damping),
        diagonal_(n_) {}

  void run(ThreadTeam& team) {
    damp();
    const int64_t tiles = (n_ + kTile - 1) / kTile;
    team.parallel_for(tiles * (tiles + 1) / 2, 1,
                      [&](int64_t tile, int64_t, int) { mirror(tile_pair(tile)); });
    scaled_.resize(static_cast<size_t>(n_ * kPanel));
    for (int64_t end = n_; end > 0; end -= std::min(end, kPanel)) {
      const int64_t begin = end - std::min(end, kPanel);
      factor_corner(begin, end);
      invert_corner(begin, end);
      team.parallel_for(begin, kTile, [&](int64_t first, int64_t last, int) {
        solve_rows(first, last, begin, end);
      });
      team.parallel_for((begin + kTile - 1) / kTile, 1, [&](int64_t tile, int64_t, int) {
        update_tile_row(tile * kTile, begin, end);
      });
    }
  }

 private:
  void damp() {
    double mean = 0;
    for (int64_t i = 0; i < n_; ++i) mean += a_[i * n_ + i] / static_cast<double>(n_);
    const auto damping = static_cast<float>(std::max(mean * damping_, 1e-20));
    for (int64_t i = 0; i < n_; ++i) diagonal_[i] = a_[i * n_ + i] += damping;
    least_ = damping * 1e-3;
  }

  void mirror(TilePair tile) {
    const int64_t i0 = tile.i * kTile, i1 = std::min(i0 + kTile, n_);
    const int64_t j0 = tile.j * kTile, j1 = std::min(j0 + kTile, n_);
    for (int64_t j = j0; j < j1; ++j)
      for (int64_t i = std::max(i0, j + 1); i < i1; ++i) a_[j * n_ + i] = a_[i * n_ + j];
  }

  void factor_corner(int64_t begin, int64_t end) {
    for (int64_t j = end - 1; j >= begin; --j) {
      const double d = std::max(diagonal_[j], least_);
      d_[j] = static_cast<float>(d);
      for (int64_t i = begin; i < j; ++i) {
        const double u = a_[i * n_ + j] / d;
        for (int64_t k = i + 1; k < j; ++k)
          a_[i * n_ + k] -= static_cast<float>(u * a_[k * n_ + j]);
        diagonal_[i] -= u * a_[i * n_ + j];
      }
      for (int64_t i = begin; i < j; ++i) a_[i * n_ + j] /= static_cast<float>(d);
    }
  }

  // W with (I + U) W = I, of the corner: rows above are then solved by one product.
  void invert_corner(int64_t begin, int64_t end) {
    std::ranges::fill(inverse_, 0.0f);
    for (int64_t j = end - 1; j >= begin; --j) {
      float* row = inverse_ + (j - begin) * kPanel;
      row[j - begin] = 1;
      for (int64_t k = j + 1; k < end; ++k) {
        double sum = 0;
        for (int64_t m = j + 1; m <= k; ++m)
          sum += double{a_[j * n_ + m]} * inverse_[(m - begin) * kPanel + k - begin];
        row[k - begin] = static_cast<float>(-sum);
      }
    }
  }

  // Rows [first, last) of U in the panel's columns, and the same times D.
  void solve_rows(int64_t first, int64_t last, int64_t begin, int64_t end) {
    const int64_t width = end - begin;
    dense_.multiply(last - first, width, width, 1, {a_ + first * n_ + begin, n_},
                    {inverse_, kPanel, true}, 0, scaled_.data() + first * kPanel, kPanel);
    for (int64_t i = first; i < last; ++i) {
      float* row = a_ + i * n_ + begin;
      const float* scaled = scaled_.data() + i * kPanel;
      for (int64_t j = 0; j < width; ++j) {
        row[j] = scaled[j] / d_[begin + j];
        diagonal_[i] -= static_cast<double>(scaled[j]) * row[j];
      }
    }
  }

  // What the panel explains is taken off the rest, above the diagonal only.
  void update_tile_row(int64_t i0, int64_t begin, int64_t end) {
    const int64_t i1 = std::min(i0 + kTile, begin), rows = i1 - i0, k = end - begin;
    const DenseMatrix scaled = {scaled_.data() + i0 * kPanel, kPanel};
    float corner[kTile * kTile];
    dense_.multiply(rows, rows, k, 1, scaled, {a_ + i0 * n_ + begin, n_, true}, 0, corner, kTile);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = i + 1; j < rows; ++j) a_[(i0 + i) * n_ + i0 + j] -= corner[i * kTile + j];
    if (i1 < begin)
      dense_.multiply(rows, begin - i1, k, -1, scaled, {a_ + i1 * n_ + begin, n_, true}, 1,
                      a_ + i0 * n_ + i1, n_);
  }

  const Dense& dense_;
  int64_t n_;
  float *a_, *d_;
  double damping_;
  std::vector<double> diagonal_;
  std::vector<float> scaled_;
  float inverse_[kPanel * kPanel];
  double least_ = 0;
};

}  // namespace

double damping_for(int64_t columns, double tokens) {
  constexpr double kLeast = 0.05, kOfRatio = 1.5, kMost = 4;
  return std::clamp(kOfRatio * static_cast<double>(columns) / std::max(tokens, 1.0), kLeast, kMost);
}

std::vector<double> token_energies(ThreadTeam& team, const float* x, int64_t x_stride,
                                   int64_t n_tokens, int64_t columns) {
  std::vector<double> energies(static_cast<size_t>(n_tokens));
  team.parallel_for(n_tokens, 8, [&](int64_t first, int64_t last, int) {
    for (int64_t t = first; t < last; ++t) {
      double energy = 0;
      for (int64_t c = 0; c < columns; ++c) {
        const double value = x[t * x_stride + c];
        energy += value * value;
      }
      energies[static_cast<size_t>(t)] = energy;
    }
  });
  return energies;
}

std::vector<float> cap_energies(std::span<const double> energies, double most) {
  std::vector<float> weights;
  for (const double energy : energies)
    weights.push_back(energy > most ? static_cast<float>(most / energy) : 1.0f);
  return weights;
}

Covariance::Covariance(const Dense& dense, int64_t columns, std::span<float> memory, uint64_t most)
    : dense_(dense), columns_(columns), memory_(memory) {
  const auto block = static_cast<int64_t>(covariance_block(static_cast<uint64_t>(columns), most));
  float* matrix = memory_.data() + columns;
  for (int64_t begin = 0; begin < columns; begin += block) {
    const int64_t n = std::min(block, columns - begin);
    blocks_.push_back({begin, n, matrix, memory_.data() + begin});
    matrix += n * n;
  }
}

void Covariance::clear() {
  std::ranges::fill(memory_, 0.0f);
  weight_ = 0;
}

void Covariance::mean_squares(std::span<float> mean) const {
  for (const CovarianceBlock& block : blocks_)
    for (int64_t i = 0; i < block.n; ++i)
      mean[block.begin + i] =
          static_cast<float>(block.matrix[i * block.n + i] / std::max(weight_, 1e-30));
}

void Covariance::center(ThreadTeam& team, std::span<const double> sums) {
  for (const CovarianceBlock& block : blocks_)
    team.parallel_for(block.n, 16, [&](int64_t first, int64_t last, int) {
      for (int64_t i = first; i < last; ++i)
        for (int64_t j = 0; j <= i; ++j)
          block.matrix[i * block.n + j] -=
              static_cast<float>(sums[block.begin + i] * sums[block.begin + j] / weight_);
    });
}

void Covariance::diagonal(std::span<float> values) const {
  for (const CovarianceBlock& block : blocks_)
    for (int64_t i = 0; i < block.n; ++i) values[block.begin + i] = block.matrix[i * block.n + i];
}

// S H S = S (I + U) / S  S D S  …: U's element (i, j) grows by s(i) / s(j).
void Covariance::scale(ThreadTeam& team, std::span<const float> scales) {
  for (const CovarianceBlock& block : blocks_) {
    const float* s = scales.data() + block.begin;
    team.parallel_for(block.n, 16, [&](int64_t first, int64_t last, int) {
      for (int64_t i = first; i < last; ++i) {
        float* row = block.matrix + i * block.n;
        for (int64_t j = 0; j <= i; ++j) row[j] *= s[i] * s[j];
        for (int64_t j = i + 1; j < block.n; ++j) row[j] *= s[i] / s[j];
        block.conditional[i] *= s[i] * s[i];
      }
    });
  }
}

void Covariance::set_energies(ThreadTeam& team, std::span<const float> energies) {
  std::vector<float> before(energies.size()), scales(energies.size());
  diagonal(before);
  const double trace = std::accumulate(before.begin(), before.end(), 0.0);
  const double factor =
      trace > 0 ? trace / std::accumulate(energies.begin(), energies.end(), 0.0) : 1;
  const double least = std::max(kLeastEnergy * trace / static_cast<double>(columns_), 1e-30);
  for (size_t c = 0; c < energies.size(); ++c)
    scales[c] =
        static_cast<float>(std::sqrt(factor * energies[c] / std::max<double>(before[c], least)));
  scale(team, scales);
  for (const CovarianceBlock& block : blocks_)
    for (int64_t i = 0; i < block.n; ++i)
      block.matrix[i * block.n + i] = static_cast<float>(factor * energies[block.begin + i]);
}

void Covariance::add(ThreadTeam& team, const float* x, int64_t x_stride, int64_t n_tokens,
                     const float* weights) {
  for (int64_t t = 0; t < n_tokens; ++t) weight_ += weights[t];
  scaled_.resize(static_cast<size_t>(n_tokens * columns_));
  team.parallel_for(n_tokens, 8, [&](int64_t first, int64_t last, int) {
    for (int64_t t = first; t < last; ++t) {
      const float root = std::sqrt(weights[t]);
      for (int64_t c = 0; c < columns_; ++c)
        scaled_[static_cast<size_t>(t * columns_ + c)] = root * x[t * x_stride + c];
    }
  });
  for (const CovarianceBlock& block : blocks_) {
    const int64_t tiles = (block.n + kTile - 1) / kTile;
    const float* s = scaled_.data() + block.begin;
    team.parallel_for(tiles * (tiles + 1) / 2, 1, [&](int64_t first, int64_t last, int) {
      for (int64_t tile = first; tile < last; ++tile) {
        const auto [i, j] = tile_pair(tile);
        const int64_t i0 = i * kTile, j0 = j * kTile;
        dense_.multiply(std::min(kTile, block.n - i0), std::min(kTile, block.n - j0), n_tokens, 1,
                        {s + i0, columns_, true}, {s + j0, columns_}, 1,
                        block.matrix + i0 * block.n + j0, block.n);
      }
    });
  }
}

void Covariance::factor(ThreadTeam& team, std::optional<double> damping) {
  scaled_ = {};
  for (const CovarianceBlock& block : blocks_)
    Factorization(dense_, block, damping.value_or(damping_for(block.n, weight_))).run(team);
}

}  // namespace enxuto
