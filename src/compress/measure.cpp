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

double measure_error(const Tensor& tensor, Type type, const float* importance, ThreadTeam& team) {
  if (type == tensor.type) return 0;
  const Codec& codec = *find_codec(type);
  const uint64_t n = sample_rows(tensor);
  std::vector<Sums> rows(n);  // added up in order: the same result whoever computed them
  team.parallel_for(static_cast<int64_t>(n), 8, [&](int64_t begin, int64_t end, int) {
    std::vector<float> row(tensor.columns()), decoded(tensor.columns());
    std::vector<uint8_t> blocks(codec.row_bytes(tensor.columns()));
    for (int64_t i = begin; i < end; ++i) {
      decode_row(tensor, static_cast<uint64_t>(i) * tensor.rows() / n, row.data());
      codec.encode(row.data(), importance, blocks.data(), row.size());
      codec.decode(blocks.data(), decoded.data(), row.size());
      rows[i] = compare(row, decoded, importance);
    }
  });
  Sums all;
  for (const Sums& row : rows) all = {all.error + row.error, all.energy + row.energy};
  return all.energy > 0 ? all.error / all.energy : 0;
}

std::vector<Candidate> measure_candidates(const Tensor& tensor, std::span<const Type> menu,
                                          const float* importance, ThreadTeam& team) {
  std::vector<Candidate> candidates;
  for (const Type type : menu)
    candidates.push_back({type, measure_error(tensor, type, importance, team)});
  return candidates;
}

}  // namespace enxuto
