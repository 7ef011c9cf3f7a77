// Rounding with feedback between rows too: the error of each panel of rows is handed to the rows
// after it, by what their outputs have in common (output_covariances.h).
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "compress/block_moves.h"
#include "compress/measure.h"

namespace enxuto {

class RowFeedback {
 public:
  // The tensor's outputs, factored; errors: row_error_floats(…) of the plan, for the rows so far.
  RowFeedback(const Covariance& outputs, std::span<float> errors)
      : outputs_(&outputs), errors_(errors) {}

  // Encodes rows [first, first + n_rows) of the tensor, which come in order: load(row, values)
  // gives one as it is to be rounded, store(row, block) takes it encoded. Both are called by
  // several threads at once. The result does not depend on their number.
  template <class Load, class Store>
  void encode(ThreadTeam& team, const Codec& codec, const Metric& metric, int sweeps, int64_t first,
              int64_t n_rows, const Load& load, const Store& store) const {
    for (int64_t row = first; row < first + n_rows;) {
      const CovarianceBlock& block = block_of(row);
      const int64_t end = std::min({first + n_rows, row + kPanelRows, block.begin + block.n});
      team.parallel_for((end - row + kRowsOfThread - 1) / kRowsOfThread, 1,
                        [&](int64_t piece, int64_t, int) {
                          const int64_t begin = row + piece * kRowsOfThread,
                                        n = std::min(kRowsOfThread, end - begin);
                          encode_piece(codec, metric, sweeps, block, row, begin, n, load, store);
                        });
      row = end;
    }
  }

 private:
  static constexpr int64_t kPanelRows = 64, kRowsOfThread = 16;

  const CovarianceBlock& block_of(int64_t row) const {
    return *std::ranges::find_if(outputs_->blocks(),
                                 [&](const CovarianceBlock& b) { return row < b.begin + b.n; });
  }

  // Rows [begin, begin + n), to which all rows of their block before `panel` hand their errors.
  template <class Load, class Store>
  void encode_piece(const Codec& codec, const Metric& metric, int sweeps,
                    const CovarianceBlock& block, int64_t panel, int64_t begin, int64_t n,
                    const Load& load, const Store& store) const {
    const int64_t columns = metric.covariance->columns(), at = begin - block.begin;
    const auto row_bytes = static_cast<int64_t>(codec.row_bytes(static_cast<uint64_t>(columns)));
    std::vector<float> rows(static_cast<size_t>(n * columns)),
        scratch(static_cast<size_t>(round_scratch(n, columns)));
    std::vector<uint8_t> encoded(static_cast<size_t>(n * row_bytes));
    for (int64_t r = 0; r < n; ++r) load(begin + r, rows.data() + r * columns);
    std::vector<float> targets = rows;
    if (panel > block.begin)
      outputs_->dense().multiply(n, columns, panel - block.begin, 1,
                                 {block.matrix + at, block.n, true}, {errors_.data(), columns}, 1,
                                 targets.data(), columns);
    if (codec.present) keep_zeros(rows.data(), n * columns, targets.data());
    encode_rows(codec, metric, targets.data(), n, columns, sweeps, encoded.data(), scratch.data());
    float* errors = errors_.data() + at * columns;
    codec.decode(encoded.data(), errors, static_cast<size_t>(n * columns));
    for (int64_t i = 0; i < n * columns; ++i) errors[i] = rows[static_cast<size_t>(i)] - errors[i];
    for (int64_t r = 0; r < n; ++r) store(begin + r, encoded.data() + r * row_bytes);
  }

  const Covariance* outputs_;
  std::span<float> errors_;
};

}  // namespace enxuto
