#include "train/projected_moments.h"

#include <algorithm>
#include <cmath>

#include "kernels/row_sums.h"

namespace enxuto {
namespace {

constexpr uint64_t kStepsOfProjection = 200;
constexpr double kGrowth = 1.01, kScale = 128, kTiny = 1e-8;

uint64_t count_rows(std::span<const MovingRows> rows) {
  uint64_t n = 0;
  for (const MovingRows& each : rows) n += each.n_rows;
  return n;
}

// r (rows): the products of each row with p.
void project_to_rows(ThreadTeam& team, const std::vector<float>& p, const MovingRows& rows,
                     float* r) {
  const size_t columns = p.size();
  team.parallel_for(static_cast<int64_t>(rows.n_rows), 16, [&](int64_t begin, int64_t end, int) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      const float* g = rows.gradient + i * columns;
      r[i] = static_cast<float>(sum_of(columns, [&](size_t c) { return p[c] * g[c]; }));
    }
  });
}

// r (columns), zero at the start: the sum of rows times their p.
void project_to_columns(ThreadTeam& team, const std::vector<float>& p, const float* gradient,
                        std::vector<float>& r) {
  constexpr size_t kBlock = 256;
  const size_t columns = r.size(), blocks = (columns + kBlock - 1) / kBlock;
  team.parallel_for(static_cast<int64_t>(blocks), 1, [&](int64_t block, int64_t, int) {
    const size_t first = static_cast<size_t>(block) * kBlock, n = std::min(kBlock, columns - first);
    for (size_t row = 0; row < p.size(); ++row)
      plain_step(1, -p[row], gradient + row * columns + first, static_cast<int64_t>(n), &r[first]);
  });
}

}  // namespace

ProjectedMoments::ProjectedMoments(const Tensor& tensor, bool by_rows, uint32_t place,
                                   uint8_t* memory)
    : tensor_(tensor), by_rows_(by_rows || tensor.rows() >= tensor.columns()), place_(place) {
  const uint64_t n = std::max(tensor.rows(), tensor.columns());
  m_ = reinterpret_cast<float*>(memory), v_ = m_ + n, lengths_ = v_ + n;
}

float ProjectedMoments::scale(ThreadTeam& team, const AdamRates& adam, const StepRates& rates,
                              const Gathered& moving) const {
  const uint64_t drawn = (rates.step - 1) / kStepsOfProjection;
  const Chance chance = Chance::of(uint64_t{place_} << 32 | drawn, ~rates.seed);
  if (moving.squares == 0) {
    const std::vector<float> none(by_rows_ ? count_rows(moving.rows) : tensor_.columns());
    step(adam, none, moving.rows);
    return 0;
  }
  const ProjectedSquares squares = step(adam, project(team, chance, moving.rows), moving.rows);
  const double factor = std::sqrt(squares.step) / (std::sqrt(squares.r) + kTiny);
  // Of a row on average, since it is not always the same rows that make up a group.
  const double length = factor * double{adam.gradient_scale} *
                        std::sqrt(moving.squares / static_cast<double>(count_rows(moving.rows)));
  float& before = lengths_[moving.group];
  const double shorter =
      before > 0 ? std::max(length / (double{before} + kTiny), kGrowth) / kGrowth : 1;
  before = static_cast<float>(length / shorter);
  const double unbiased = double{adam.mean_scale} / double{adam.root_scale};
  return static_cast<float>(unbiased * std::sqrt(kScale) * factor / shorter) * adam.gradient_scale;
}

std::vector<float> ProjectedMoments::project(ThreadTeam& team, const Chance& chance,
                                             std::span<const MovingRows> rows) const {
  std::vector<float> p(by_rows_ ? tensor_.columns() : tensor_.rows());
  for (size_t i = 0; i < p.size(); ++i) p[i] = normal_at(chance, static_cast<uint32_t>(i));
  std::vector<float> r(by_rows_ ? count_rows(rows) : tensor_.columns());
  if (!by_rows_) {
    project_to_columns(team, p, rows[0].gradient, r);
    return r;
  }
  float* to = r.data();
  for (const MovingRows& each : rows) {
    project_to_rows(team, p, each, to);
    to += each.n_rows;
  }
  return r;
}

ProjectedSquares ProjectedMoments::step(const AdamRates& adam, const std::vector<float>& r,
                                        std::span<const MovingRows> rows) const {
  if (!by_rows_) return projected_moments(adam, r.data(), static_cast<int64_t>(r.size()), m_, v_);
  ProjectedSquares sum{};
  const float* from = r.data();
  for (const MovingRows& each : rows) {
    const ProjectedSquares its = projected_moments(adam, from, static_cast<int64_t>(each.n_rows),
                                                   m_ + each.first, v_ + each.first);
    sum.step += its.step, sum.r += its.r;
    from += each.n_rows;
  }
  return sum;
}

}  // namespace enxuto
