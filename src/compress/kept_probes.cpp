#include "compress/kept_probes.h"

#include <algorithm>
#include <cmath>

#include "compress/kept_stages.h"

namespace enxuto {
Result<Klds> take_klds(const Workbench& bench, size_t n_weights) {
  if (!bench.state || !bench.state->has(record::kSensitivities)) return Klds();
  ASSIGN_OR_RETURN(auto klds, bench.state->get<double>(record::kSensitivities));
  const auto sound = [](double kld) { return std::isfinite(kld) && kld >= 0; };
  if (klds.size() != n_weights || !std::ranges::all_of(klds, sound))
    return bench.state->damaged(record::kSensitivities);
  return Klds(std::move(klds));
}

Status keep_klds(const Workbench& bench, std::span<const double> klds) {
  if (!bench.state) return {};
  TRY(bench.state->put(record::kSensitivities, klds));
  TRY(bench.state->remove(record::kProbeSums));
  return forget_states(bench, record::kProbes);
}

Status keep_sums(const Workbench& bench, uint64_t rows, std::span<const ReferenceRow> references,
                 std::span<const DisturbedRow> disturbed) {
  if (!bench.state) return {};
  ASSIGN_OR_RETURN(RecordWriter writer, bench.state->create(record::kProbeSums, rows));
  TRY(writer.write(bytes_of(references)));
  TRY(writer.write(bytes_of(disturbed)));
  return writer.keep();
}

Result<uint64_t> take_sums(const Workbench& bench, std::span<ReferenceRow> references,
                           std::span<DisturbedRow> disturbed) {
  if (!bench.state || !bench.state->has(record::kProbeSums)) return 0;
  ASSIGN_OR_RETURN(RecordReader reader, bench.state->read(record::kProbeSums));
  TRY(reader.read(room_of(references)));
  TRY(reader.read(room_of(disturbed)));
  TRY(reader.finish());
  return reader.tag();
}

}  // namespace enxuto
