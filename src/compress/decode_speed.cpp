#include "compress/decode_speed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/matmul.h"
#include "platform/clock.h"
#include "platform/interrupt.h"

namespace enxuto {
namespace {

// A matrix that the caches do not hold, as wide as every format's blocks divide.
constexpr uint64_t kMatrixBytes = uint64_t{48} << 20;
constexpr int64_t kColumns = 1024;
constexpr uint64_t kLeastRowBytes = kColumns / 8;  // a bit a value
// Predicted KL divergence, over that of the best plan.
constexpr double kTolerance = 1.10;
constexpr int kPasses = 5;  // of which the quickest counts

// As large as weights and activations are that have been normed: any values do.
void fill(std::span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(7 * i + 1));
}

// One row after the other, all alike.
MatrixView matrix_of(const Codec& codec, std::span<const float> row, std::span<uint8_t> memory,
                     int64_t rows) {
  const uint64_t row_bytes = codec.row_bytes(kColumns);
  codec.encode(row.data(), nullptr, memory.data(), kColumns);
  for (int64_t r = 1; r < rows; ++r)
    std::memcpy(memory.data() + static_cast<uint64_t>(r) * row_bytes, memory.data(), row_bytes);
  return {codec.type, memory.data(), rows, kColumns, row_bytes};
}

}  // namespace

Result<DecodeSpeed> DecodeSpeed::find(const Workbench& bench,
                                      const std::vector<std::vector<Type>>& menus) {
  DecodeSpeed speed;
  for (const auto& menu : menus)
    for (const Type type : menu) speed.seconds_per_byte_[type] = 0;
  ASSIGN_OR_RETURN(const bool known, speed.take(bench));
  if (known) return speed;
  TRY(speed.measure(bench));
  TRY(speed.keep(bench));
  return speed;
}

Result<bool> DecodeSpeed::take(const Workbench& bench) {
  if (!bench.state || !bench.state->has(record::kDecodeSpeed)) return false;
  ASSIGN_OR_RETURN(const auto lines, bench.state->get<Line>(record::kDecodeSpeed));
  std::map<Type, double> kept;
  for (const Line& line : lines) kept[static_cast<Type>(line.type)] = line.seconds_per_byte;
  for (auto& [type, seconds] : seconds_per_byte_) {
    const auto it = kept.find(type);
    if (it == kept.end()) return false;
    if (!(it->second > 0)) return bench.state->damaged(record::kDecodeSpeed);
    seconds = it->second;
  }
  return true;
}

Status DecodeSpeed::keep(const Workbench& bench) const {
  if (!bench.state) return {};
  std::vector<Line> lines;
  for (const auto& [type, seconds] : seconds_per_byte_)
    lines.push_back({static_cast<uint64_t>(type), seconds});
  return bench.state->put<Line>(record::kDecodeSpeed, lines);
}

Status DecodeSpeed::measure(const Workbench& bench) {
  ThreadTeam& team = bench.session.team();
  ASSIGN_OR_RETURN(const auto buffers,
                   bench.take<uint8_t>(MatmulBuffers::bytes(1, kColumns, team.size())));
  MatmulBuffers prepared(buffers.data(), 1, kColumns, team.size());
  ASSIGN_OR_RETURN(const auto x, bench.take<float>(kColumns));
  fill(x);
  const uint64_t bytes = std::min(kMatrixBytes, bench.plan.stages.find(owner::kWorking)->bytes / 2);
  ASSIGN_OR_RETURN(const auto memory, bench.take<uint8_t>(bytes));
  ASSIGN_OR_RETURN(const auto y, bench.take<float>(bytes / kLeastRowBytes));
  double done = 0;
  for (auto& [type, seconds_per_byte] : seconds_per_byte_) {
    if (interrupted()) return Status::interrupted();
    if (bench.progress)
      bench.progress("timing formats", done++ / static_cast<double>(seconds_per_byte_.size()));
    const Codec& codec = *find_codec(type);
    const auto rows = static_cast<int64_t>(bytes / codec.row_bytes(kColumns));
    const MatmulJob job{matrix_of(codec, x, memory, rows), nullptr, y.data(), rows};
    double least = std::numeric_limits<double>::infinity();
    for (int pass = 0; pass < kPasses; ++pass) {
      const auto start = std::chrono::steady_clock::now();
      matmul(kernels(), team, prepared, x.data(), kColumns, 1, {&job, 1});
      least = std::min(least, seconds_since(start));
    }
    seconds_per_byte = least / static_cast<double>(static_cast<uint64_t>(rows) * job.w.row_bytes);
  }
  bench.clear();
  return {};
}

Result<Allocation> allocate_for_speed(const Workbench& bench, const PricedWeights& priced,
                                      uint64_t room, SpeedReport& report) {
  ASSIGN_OR_RETURN(const DecodeSpeed speed, DecodeSpeed::find(bench, priced.menus));
  std::vector<std::vector<double>> seconds(priced.weights.size());
  for (size_t i = 0; i < seconds.size(); ++i)
    for (size_t c = 0; c < priced.menus[i].size(); ++c)
      seconds[i].push_back(  // an embedding that is not the head is looked up, not read
          priced.weights[i].input ? speed.seconds(priced.menus[i][c], priced.choices[i][c].bytes)
                                  : 0);
  const auto plans = allocate_for_speed(priced.choices, seconds, room, kTolerance);
  if (!plans) return Status::failed("the plan of formats does not fit after all");
  report = {plans->quick.seconds, plans->best.seconds, plans->best.cost};
  return Allocation(plans->quick);
}

}  // namespace enxuto
