#include "compress/measure.h"

#include <algorithm>

namespace enxuto {
namespace {

// Enough for an error to be known to a percent or so.
constexpr uint64_t kSampleValues = 1 << 16;

uint64_t sample_rows(const Tensor& tensor) {
  return std::clamp<uint64_t>(kSampleValues / tensor.columns(),
                              std::min<uint64_t>(tensor.rows(), 64), tensor.rows());
}

struct Sums {
  double error = 0, energy = 0;
};

Sums compare(std::span<const float> row, std::span<const float> decoded, const float* importance) {
  Sums sums;
  for (size_t i = 0; i < row.size(); ++i) {
    const double weight = importance ? importance[i] : 1.0;
    const double off = static_cast<double>(row[i]) - static_cast<double>(decoded[i]);
    sums.error += weight * off * off;
    sums.energy += weight * row[i] * row[i];
  }
  return sums;
}

}  // namespace

void encode_rows(const Codec& codec, const Metric& metric, const float* rows, int64_t n_rows,
                 int64_t columns, uint8_t* blocks, float* scratch) {
  if (metric.covariance && codec.block_values > 1) {
    round_rows(codec, *metric.covariance, rows, n_rows, blocks, scratch);
    return;
  }
  const uint64_t row_bytes = codec.row_bytes(static_cast<uint64_t>(columns));
  for (int64_t r = 0; r < n_rows; ++r)
    codec.encode(rows + r * columns, metric.importance, blocks + r * row_bytes,
                 static_cast<size_t>(columns));
}

double measure_error(const Tensor& tensor, Type type, const Metric& metric, bool feedback,
                     ThreadTeam& team) {
  if (type == tensor.type) return 0;
  const Codec& codec = *find_codec(type);
  const auto n = static_cast<int64_t>(sample_rows(tensor));
  const auto columns = static_cast<int64_t>(tensor.columns());
  const uint64_t row_bytes = codec.row_bytes(tensor.columns());
  const Metric rounding{feedback ? metric.covariance : nullptr, metric.importance};
  // Added up in order: the same result whoever computed them.
  std::vector<Sums> pieces(static_cast<size_t>((n + kRowsAtOnce - 1) / kRowsAtOnce));
  team.parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t piece, int64_t, int) {
    const int64_t first = piece * kRowsAtOnce, rows = std::min(kRowsAtOnce, n - first);
    std::vector<float> values(static_cast<size_t>(rows * columns)), decoded(values.size()),
        scratch(static_cast<size_t>(round_scratch(rows, columns)));
    std::vector<uint8_t> blocks(static_cast<size_t>(rows) * row_bytes);
    for (int64_t r = 0; r < rows; ++r)
      decode_row(tensor,
                 static_cast<uint64_t>((first + r) * static_cast<int64_t>(tensor.rows()) / n),
                 values.data() + r * columns);
    encode_rows(codec, rounding, values.data(), rows, columns, blocks.data(), scratch.data());
    Sums& sums = pieces[static_cast<size_t>(piece)];
    if (metric.covariance) {
      sums = {
          loss_of(codec, *metric.covariance, values.data(), rows, blocks.data(), scratch.data()),
          loss_of_zeros(*metric.covariance, values.data(), rows, scratch.data())};
    } else {
      codec.decode(blocks.data(), decoded.data(), decoded.size());
      for (int64_t r = 0; r < rows; ++r) {
        const size_t at = static_cast<size_t>(r * columns), width = static_cast<size_t>(columns);
        const Sums row =
            compare({values.data() + at, width}, {decoded.data() + at, width}, metric.importance);
        sums = {sums.error + row.error, sums.energy + row.energy};
      }
    }
  });
  Sums all;
  for (const Sums& piece : pieces) all = {all.error + piece.error, all.energy + piece.energy};
  return all.energy > 0 ? all.error / all.energy : 0;
}

std::vector<Candidate> measure_candidates(const Tensor& tensor, std::span<const Type> menu,
                                          const Metric& metric, ThreadTeam& team) {
  std::vector<Candidate> candidates;
  for (const Type type : menu)
    candidates.push_back({type, measure_error(tensor, type, metric, true, team)});
  return candidates;
}

}  // namespace enxuto
