#include "compress/kept_stages.h"

#include <algorithm>

#include "models/finite.h"

namespace enxuto {
namespace {

bool all_positive(std::span<const float> values) {
  return all_finite(values) && std::ranges::all_of(values, [](float x) { return x > 0; });
}

}  // namespace

Status keep_inputs(const Workbench& bench, uint32_t layer, const std::vector<const Tensor*>& inputs,
                   const Importance& importance, ColumnScales& scales) {
  if (!bench.state) return {};
  ASSIGN_OR_RETURN(RecordWriter writer, bench.state->create(numbered(record::kCalibrated, layer)));
  for (const Tensor* input : inputs) {
    TRY(writer.write(bytes_of(importance.at(input))));
    TRY(writer.write(bytes_of(std::span<const float>(scales.of(*input)))));
  }
  return writer.keep();
}

Status take_inputs(const Workbench& bench, uint32_t layer, const std::vector<const Tensor*>& inputs,
                   Importance& importance, ColumnScales& scales) {
  const std::string name = numbered(record::kCalibrated, layer);
  ASSIGN_OR_RETURN(RecordReader reader, bench.state->read(name));
  bool sound = true;
  for (const Tensor* input : inputs) {
    std::vector<float> mean(input->columns());
    TRY(reader.read(room_of(std::span(mean))));
    const std::span<float> scale = scales.of(*input);
    TRY(reader.read(room_of(scale)));
    sound = sound && all_finite(mean) && all_positive(scale);
    if (importance.contains(input)) continue;
    ASSIGN_OR_RETURN(const auto kept, bench.arena.take<float>(owner::kImportance, mean.size()));
    std::ranges::copy(mean, kept.begin());
    importance[input] = kept;
  }
  TRY(reader.finish());
  return sound ? Status() : bench.state->damaged(name);
}

Result<uint32_t> first_to_calibrate(const Workbench& bench) {
  if (!bench.state) return 0;
  const uint32_t n_layers = bench.model().hyper.n_layers;
  uint32_t first = n_layers + 1;
  if (!bench.state->has(numbered(record::kCalibrated, n_layers))) {
    ASSIGN_OR_RETURN(first, layer_of_states(bench, record::kText));
  }
  bench.state->begins("calibrating", first, n_layers + 1);
  return first;
}

Status keep_states(const Workbench& bench, const char* record, uint32_t layer, HiddenStates& states,
                   std::span<const size_t> which, uint64_t floats) {
  if (!bench.state) return {};
  ASSIGN_OR_RETURN(RecordWriter writer, bench.state->create(record, layer));
  for (const size_t i : which) {
    ASSIGN_OR_RETURN(const float* state, states.load(i));
    TRY(writer.write(bytes_of(std::span<const float>(state, floats))));
  }
  return writer.keep();
}

Status take_states(const Workbench& bench, const char* record, HiddenStates& states,
                   std::span<const size_t> which, uint64_t floats) {
  ASSIGN_OR_RETURN(RecordReader reader, bench.state->read(record));
  for (const size_t i : which) {
    TRY(reader.read(room_of(std::span<float>(states.room(i), floats))));
    TRY(states.store(i));
  }
  return reader.finish();
}

Status forget_states(const Workbench& bench, const char* record) {
  return bench.state ? bench.state->remove(record) : Status();
}

Result<uint32_t> layer_of_states(const Workbench& bench, const char* record) {
  if (!bench.state || !bench.state->has(record)) return 0;
  ASSIGN_OR_RETURN(const RecordReader reader, bench.state->read(record));
  if (reader.tag() == 0 || reader.tag() > bench.model().hyper.n_layers)
    return bench.state->damaged(record);
  return static_cast<uint32_t>(reader.tag());
}

}  // namespace enxuto
