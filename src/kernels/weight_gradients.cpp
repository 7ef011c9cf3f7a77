#include "kernels/weight_gradients.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/layer_norm_gradient.h"
#include "kernels/row_sums.h"

namespace enxuto {
namespace {

constexpr int64_t kColumns = 64;  // by one thread

// value(row, column) added up over rows, for each of n columns.
template <class Value>
void add_columns(ThreadTeam& team, int64_t n_rows, int64_t n, float* sums, const Value& value) {
  team.parallel_for((n + kColumns - 1) / kColumns, 1, [&](int64_t task, int64_t, int) {
    const int64_t begin = task * kColumns, count = std::min(kColumns, n - begin);
    double block[kColumns] = {};
    for (int64_t row = 0; row < n_rows; ++row)
      for (int64_t c = 0; c < count; ++c) block[c] += value(row, begin + c);
    for (int64_t c = 0; c < count; ++c) sums[begin + c] += static_cast<float>(block[c]);
  });
}

}  // namespace

void add_bias_gradient(ThreadTeam& team, int64_t n_tokens, const float* dy, int64_t n, float* db) {
  add_columns(team, n_tokens, n, db, [&](int64_t token, int64_t c) { return dy[token * n + c]; });
}

void add_norm_gradient(ThreadTeam& team, int64_t n_rows, const float* x, const float* dy,
                       float epsilon, int64_t n, float* dw) {
  std::vector<float> scales(static_cast<size_t>(n_rows));
  team.parallel_for(n_rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const float* values = x + row * n;
      const double squares = kernels().dot(values, values, n);
      scales[static_cast<size_t>(row)] =
          static_cast<float>(1 / std::sqrt(squares / static_cast<double>(n) + epsilon));
    }
  });
  add_columns(team, n_rows, n, dw, [&](int64_t row, int64_t c) {
    return dy[row * n + c] * x[row * n + c] * scales[static_cast<size_t>(row)];
  });
}

void add_layer_norm_gradient(ThreadTeam& team, int64_t n_rows, const float* x, const float* dy,
                             float epsilon, int64_t n, float* dw) {
  std::vector<RowNorm> norms(static_cast<size_t>(n_rows));
  team.parallel_for(n_rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      norms[static_cast<size_t>(row)] = row_norm(x + row * n, epsilon, n);
  });
  add_columns(team, n_rows, n, dw, [&](int64_t row, int64_t c) {
    const RowNorm& norm = norms[static_cast<size_t>(row)];
    return dy[row * n + c] * (x[row * n + c] - norm.mean) * norm.scale;
  });
}

}  // namespace enxuto
